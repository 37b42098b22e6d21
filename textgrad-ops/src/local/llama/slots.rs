//! The sequences of a context: the tokens that each of them has computed, kept as prefixes of later calls.
//!
//! Keys and values of a token must not depend on how it was computed, or an answer would depend on what else the
//! context holds. With some kernels they depend on how many tokens are computed in one step. Then only whole chunks of
//! a prompt are kept for other prompts, and no answers: they are always computed in the same steps.

use llama_cpp_2::token::LlamaToken;

/// A copied prefix shorter than this saves less than it costs.
const MIN_COPY: usize = 8;

/// A sequence of the context.
#[derive(Debug, Clone, Default)]
struct Slot {
    /// The tokens whose keys and values it holds.
    computed: Vec<LlamaToken>,
    /// The prompt that it was read for last.
    prompt: Vec<LlamaToken>,
    /// Whether an answer is written in it.
    is_busy: bool,
    last_used: u64,
}

/// Where an answer is written, and where its beginning comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) slot: usize,
    /// The sequence to copy first.
    pub(super) copied_from: Option<usize>,
    /// So many tokens of the prompt are computed already; later ones of the sequence are to be removed.
    pub(super) kept: usize,
}

/// All sequences of a context.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// The chunks that are kept as a whole only; none if any token is kept.
    chunk: Option<usize>,
    clock: u64,
}

fn common(a: &[LlamaToken], b: &[LlamaToken]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Slots {
    pub(super) fn new(count: usize, chunk: Option<usize>) -> Self {
        Self { slots: vec![Slot::default(); count], chunk, clock: 0 }
    }

    /// How many tokens of a prompt, `most` at most, need not be computed again if a sequence holds `computed` of
    /// another one.
    fn kept(
        &self,
        computed: &[LlamaToken],
        other: &[LlamaToken],
        prompt: &[LlamaToken],
        most: usize,
    ) -> usize {
        let common = common(computed, prompt).min(most);
        match self.chunk {
            // The same steps, all but the last one of one token.
            Some(_) if common + 1 == prompt.len() && other == prompt => common,
            Some(chunk) => common.min(other.len().saturating_sub(1)) / chunk.max(1) * chunk,
            None => common,
        }
    }

    /// A place for a prompt, of which `most` tokens may be computed already: on the longest prefix of it that any
    /// sequence holds, copied if that sequence is in use or holds more, in place of what was used least recently.
    ///
    /// None if all sequences are in use, or if one is just reading more of the prompt than any holds yet.
    pub(super) fn place(&mut self, prompt: &[LlamaToken], most: usize) -> Option<Placement> {
        let held = |slot: &Slot| self.kept(&slot.computed, &slot.prompt, prompt, most);
        // Of equal ones, one that is idle, and the one used last.
        let key = |(_, slot): &(usize, &Slot)| (held(slot), !slot.is_busy, slot.last_used);
        let (source, best) = self.slots.iter().enumerate().max_by_key(key)?;
        let kept = held(best);
        let busy = self.slots.iter().filter(|slot| slot.is_busy);
        let coming = busy.map(|slot| self.kept(&slot.prompt, &slot.prompt, prompt, most)).max();
        if coming.unwrap_or(0) >= kept + MIN_COPY {
            return None;
        }
        let (oldest, _) = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| !slot.is_busy)
            .min_by_key(|(_, slot)| slot.last_used)?;
        let is_whole = !best.is_busy && best.computed.len() <= kept + 1;
        let placement = if is_whole || source == oldest {
            Placement { slot: source, copied_from: None, kept }
        } else if kept < MIN_COPY {
            Placement { slot: oldest, copied_from: None, kept: 0 }
        } else {
            Placement { slot: oldest, copied_from: Some(source), kept }
        };
        self.clock += 1;
        let beginning = prompt.get(..placement.kept).unwrap_or_default().to_vec();
        if let Some(slot) = self.slots.get_mut(placement.slot) {
            slot.computed = beginning;
            slot.prompt = prompt.to_vec();
            slot.is_busy = true;
            slot.last_used = self.clock;
        }
        Some(placement)
    }

    /// How many tokens a sequence has computed.
    pub(super) fn computed(&self, slot: usize) -> usize {
        self.slots.get(slot).map_or(0, |slot| slot.computed.len())
    }

    /// Notes that a sequence has computed more tokens.
    pub(super) fn extend(&mut self, slot: usize, tokens: &[LlamaToken]) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.computed.extend_from_slice(tokens);
        }
    }

    /// Gives a sequence back; what it holds stays until it is replaced.
    pub(super) fn release(&mut self, slot: usize) {
        self.clock += 1;
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.is_busy = false;
            slot.last_used = self.clock;
        }
    }

    /// Gives a sequence back that holds nothing.
    pub(super) fn forget(&mut self, slot: usize) {
        self.release(slot);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.computed.clear();
        }
    }

    /// Forgets what all sequences hold.
    pub(super) fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.computed.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(range: std::ops::Range<i32>) -> Vec<LlamaToken> {
        range.map(LlamaToken).collect()
    }

    /// A place for a prompt behind which an answer is written.
    fn place(slots: &mut Slots, prompt: &[LlamaToken]) -> Option<Placement> {
        slots.place(prompt, prompt.len() - 1)
    }

    fn write(slots: &mut Slots, at: Placement, prompt: &[LlamaToken]) {
        let rest = prompt.get(at.kept..).unwrap_or_default();
        slots.extend(at.slot, rest);
    }

    #[test]
    fn answers_to_one_prompt_wait_for_its_reading_and_copy_it() {
        let mut slots = Slots::new(3, None);
        let prompt = tokens(0..100);
        let first = place(&mut slots, &prompt).unwrap();
        assert_eq!((first.copied_from, first.kept), (None, 0));
        assert_eq!(place(&mut slots, &prompt), None);
        // Another prompt does not wait.
        let other = place(&mut slots, &tokens(500..600)).unwrap();
        assert_eq!((other.copied_from, other.kept), (None, 0));
        write(&mut slots, first, &prompt);
        let second = place(&mut slots, &prompt).unwrap();
        assert_eq!((second.copied_from, second.kept), (Some(first.slot), 99));
        assert_eq!(place(&mut slots, &prompt), None, "all are in use");
        assert_eq!([first.slot, other.slot, second.slot].iter().sum::<usize>(), 3);
    }

    #[test]
    fn a_conversation_goes_on_in_place_and_the_least_recently_used_is_replaced() {
        let mut slots = Slots::new(2, None);
        let prompt = tokens(0..100);
        let first = place(&mut slots, &prompt).unwrap();
        write(&mut slots, first, &prompt);
        slots.extend(first.slot, &tokens(200..220));
        slots.release(first.slot);
        let longer = [prompt.clone(), tokens(200..220), tokens(300..310)].concat();
        let next = place(&mut slots, &longer).unwrap();
        assert_eq!(next, Placement { slot: first.slot, copied_from: None, kept: 120 });
        write(&mut slots, next, &longer);
        slots.release(next.slot);
        // Another answer to the first prompt: the long conversation stays.
        let again = place(&mut slots, &prompt).unwrap();
        assert_eq!(
            again,
            Placement { slot: 1 - next.slot, copied_from: Some(next.slot), kept: 99 }
        );
        write(&mut slots, again, &prompt);
        slots.release(again.slot);
        // The same prompt again is read in place.
        assert_eq!(
            place(&mut slots, &prompt),
            Some(Placement { slot: again.slot, copied_from: None, kept: 99 })
        );
        slots.release(again.slot);
        let new = place(&mut slots, &tokens(700..800)).unwrap();
        assert_eq!(new.slot, next.slot);
        slots.clear();
        assert_eq!(slots.computed(new.slot), 0);
    }

    #[test]
    fn only_whole_chunks_of_prompts_are_kept_where_steps_matter() {
        let mut slots = Slots::new(3, Some(64));
        let prompt = tokens(0..100);
        let first = place(&mut slots, &prompt).unwrap();
        write(&mut slots, first, &prompt);
        slots.extend(first.slot, &tokens(200..300));
        // The same prompt is computed in the same steps.
        let same = place(&mut slots, &prompt).unwrap();
        assert_eq!((same.copied_from, same.kept), (Some(first.slot), 99));
        let longer = [prompt, tokens(200..300)].concat();
        let next = place(&mut slots, &longer).unwrap();
        assert_eq!((next.copied_from, next.kept), (Some(same.slot), 64));
    }

    #[test]
    fn given_tokens_are_computed_from_the_first_that_counts() {
        let prompt = tokens(0..100);
        let given = |range| [tokens(0..100), tokens(range)].concat();
        for (chunk, kept) in [(None, 99), (Some(64), 64)] {
            let mut slots = Slots::new(3, chunk);
            let first = place(&mut slots, &prompt).unwrap();
            write(&mut slots, first, &prompt);
            let (text, other) = (given(200..220), given(210..230));
            let at = slots.place(&text, 99).unwrap();
            assert_eq!((at.copied_from, at.kept), (Some(first.slot), kept));
            slots.extend(at.slot, &text[kept..text.len() - 1]);
            slots.release(at.slot);
            // The same text again: its logits are needed again.
            assert_eq!(slots.place(&text, 99).unwrap().kept, kept);
            assert_eq!(slots.place(&other, 99).unwrap().kept, kept);
        }
    }
}
