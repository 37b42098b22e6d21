//! Positions of an answer among the tokens of an echoed prompt.
//!
//! Two things show it, and neither is there on every server. Tokens *spell* the prompt, but servers decode them one
//! by one: a part of a character is then U+FFFD, and tokenizers of the SentencePiece family drop the space
//! before a word. `text_offset` is that of the text (OpenAI), or a sum of the lengths of such tokens (vLLM), or
//! missing (SGLang). So spelling is tried first, which proves itself, and offsets are believed only if the
//! last one says exactly how long the prompt is.

use std::ops::Range;

/// How many tokens a tokenizer puts before a text, at most.
const BEGINNING: usize = 2;

/// The echo of a prompt, as a server reported it.
#[derive(Debug)]
pub(super) struct EchoedPrompt<'a> {
    /// Those of the prompt, and at most one that was written behind it.
    pub(super) tokens: Vec<&'a str>,
    /// Where they begin, counted by the server.
    pub(super) offsets: Option<Vec<usize>>,
    /// How many of the tokens are the prompt's, if it is reported.
    pub(super) prompt_tokens: Option<usize>,
}

/// Why an answer is not found.
#[derive(Debug, PartialEq)]
pub(super) enum SpanError {
    /// Nothing but what was written behind the prompt came back.
    NotEchoed,
    /// Neither tokens nor offsets are those of the prompt.
    Mismatch,
    /// This token holds more than white space of the prompt, and some of the answer.
    Straddles(String),
    /// There are parts of characters where the answer begins or ends.
    Uncertain,
}

impl EchoedPrompt<'_> {
    /// The positions of an answer's tokens, where `whole` is `prompt` with the answer behind it.
    ///
    /// A token that holds the white space with which the prompt ends is the answer's: the answer's first
    /// characters have no other. One that holds more of the prompt would count what the answer did not choose.
    pub(super) fn answer(&self, prompt: &str, whole: &str) -> Result<Range<usize>, SpanError> {
        for begin in 0..=BEGINNING {
            if let Some(starts) = self.by_spelling(begin, whole)? {
                return self.range(begin, &starts, prompt, whole);
            }
        }
        let starts = self.by_offsets(whole).ok_or(match self.tokens.len() {
            0 | 1 => SpanError::NotEchoed,
            _ => SpanError::Mismatch,
        })?;
        self.range(0, &starts, prompt, whole)
    }

    /// The answer's tokens, by where each token from `begin` on may begin, with the end of the last.
    fn range(
        &self,
        begin: usize,
        possible: &[Vec<usize>],
        prompt: &str,
        whole: &str,
    ) -> Result<Range<usize>, SpanError> {
        let (end, border) = (begin + possible.len().saturating_sub(1), prompt.len());
        for (index, (starts, ends)) in possible.iter().zip(possible.iter().skip(1)).enumerate() {
            let least = starts.first().copied().unwrap_or_default();
            let (most, reached) = (starts.last().copied(), ends.last().copied());
            if least >= border {
                return Ok(begin + index..end);
            }
            if most >= Some(border) {
                return Err(SpanError::Uncertain);
            }
            if reached > Some(border) {
                // A token that begins within a character holds more than white space.
                let held = whole.get(least..border);
                if held.is_some_and(|held| held.trim().is_empty()) {
                    return Ok(begin + index..end);
                }
                let token = self.tokens.get(begin + index).copied().unwrap_or_default();
                return Err(SpanError::Straddles(token.to_owned()));
            }
        }
        Ok(end..end)
    }

    /// Where the tokens from `begin` on may begin if they spell the text, with its end behind them; none if they do
    /// not. Each list is sorted and not empty.
    fn by_spelling(&self, begin: usize, text: &str) -> Result<Option<Vec<Vec<usize>>>, SpanError> {
        let tokens = self.tokens.get(begin..).unwrap_or_default();
        let mut possible = vec![vec![0]];
        for token in tokens {
            let reached = read(text, possible.last().map_or(&[][..], Vec::as_slice), token);
            if reached.is_empty() {
                break;
            }
            possible.push(reached);
        }
        let is_end = |count: &usize| {
            possible.get(*count).is_some_and(|starts| starts.last() == Some(&text.len()))
        };
        let Some(first) = (0..possible.len()).find(is_end) else { return Ok(None) };
        let reported = self.prompt_tokens.and_then(|count| count.checked_sub(begin)).filter(is_end);
        let is_partial = possible.get(first).is_some_and(|starts| starts.len() > 1);
        // The next token may be the rest of the last character, or the beginning of what was written behind.
        if reported.is_none() && is_partial && is_end(&(first + 1)) {
            return Err(SpanError::Uncertain);
        }
        let count = reported.unwrap_or(first);
        possible.truncate(count);
        // What does not lead to the end is left out.
        let mut ends = vec![text.len()];
        for (starts, token) in possible.iter_mut().zip(tokens).rev() {
            starts
                .retain(|start| read(text, &[*start], token).iter().any(|end| ends.contains(end)));
            ends.clone_from(starts);
        }
        possible.push(vec![text.len()]);
        Ok(Some(possible))
    }

    /// Where tokens begin by the server's own count, in characters or in bytes.
    fn by_offsets(&self, text: &str) -> Option<Vec<Vec<usize>>> {
        let offsets = self.offsets.as_ref()?;
        let (first, last) = (*self.tokens.first()?, *self.tokens.last()?);
        // A token that the tokenizer put before the text is counted as well.
        let shift = if text.starts_with(first) { 0 } else { *offsets.get(1)? };
        let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let in_characters = |count: usize| bytes.get(count).copied();
        let in_bytes = |count: usize| (count <= text.len()).then_some(count);
        add_up(offsets, shift, last.chars().count(), text.len(), in_characters)
            .or_else(|| add_up(offsets, shift, last.len(), text.len(), in_bytes))
    }
}

/// Offsets behind a `shift` as positions in a text, if they lead from its beginning to its end; `length` is that of the
/// last token, which may be the text's or written behind it.
fn add_up(
    offsets: &[usize],
    shift: usize,
    length: usize,
    end: usize,
    position: impl Fn(usize) -> Option<usize>,
) -> Option<Vec<Vec<usize>>> {
    let last = *offsets.last()?;
    let position = |offset: usize| position(offset.saturating_sub(shift));
    let behind = match position(last)? == end {
        true => None,
        false => Some(last.checked_add(length)?),
    };
    let starts =
        offsets.iter().copied().chain(behind).map(position).collect::<Option<Vec<usize>>>()?;
    let is_whole = starts.first() == Some(&0) && starts.last() == Some(&end);
    (is_whole && starts.is_sorted()).then(|| starts.into_iter().map(|start| vec![start]).collect())
}

/// Where a text can be read to by one token, from any of these positions; sorted.
fn read(text: &str, starts: &[usize], token: &str) -> Vec<usize> {
    let follows = |at: usize| text.get(at..).and_then(|rest| rest.chars().next());
    let mut reached = starts.to_vec();
    if !token.starts_with(' ') {
        let spaces = starts.iter().filter(|at| follows(**at) == Some(' '));
        reached.extend(spaces.map(|at| at + 1));
    }
    for character in token.chars() {
        let is_part = character == char::REPLACEMENT_CHARACTER;
        let next = reached.iter().filter_map(|at| {
            let found = follows(*at)?;
            let is_it = found == character || is_part && !found.is_ascii();
            is_it.then(|| at + found.len_utf8())
        });
        // The part of a character ends it or does not.
        let begun = reached.iter().copied().filter(|_| is_part);
        reached = next.chain(begun).collect();
        reached.sort_unstable();
        reached.dedup();
    }
    reached.sort_unstable();
    reached.dedup();
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tokens: &[&str], prompt: &str, answer: &str) -> Result<Range<usize>, SpanError> {
        of(tokens, None, None, prompt, answer)
    }

    fn of(
        tokens: &[&str],
        offsets: Option<&[usize]>,
        prompt_tokens: Option<usize>,
        prompt: &str,
        answer: &str,
    ) -> Result<Range<usize>, SpanError> {
        let offsets = offsets.map(<[usize]>::to_vec);
        let echoed = EchoedPrompt { tokens: tokens.to_vec(), offsets, prompt_tokens };
        echoed.answer(prompt, &format!("{prompt}{answer}"))
    }

    #[test]
    fn tokens_that_spell_the_text_say_where_the_answer_is() {
        assert_eq!(found(&["a", " b", "c", "d"], "a b", "c"), Ok(2..3));
        assert_eq!(found(&["a", " b", "c"], "a b", "c"), Ok(2..3));
        assert_eq!(found(&["<s>", "", "a", " b", "c", "c"], "a b", "c"), Ok(4..5));
        assert_eq!(found(&["a", "b", "c"], "a ", "b c"), Ok(1..3));
        assert_eq!(found(&["a", "b"], "a", ""), Ok(1..1));
        assert_eq!(found(&["a:", "b"], "a", ":b"), Err(SpanError::Straddles("a:".to_owned())));
        assert_eq!(found(&["x"], "a", "b"), Err(SpanError::NotEchoed));
        assert_eq!(found(&[], "a", "b"), Err(SpanError::NotEchoed));
        assert_eq!(found(&["x", "y"], "a", "b"), Err(SpanError::Mismatch));
        assert_eq!(found(&["a", "b"], "a", "bc"), Err(SpanError::Mismatch));
    }

    #[test]
    fn parts_of_characters_are_found_by_what_stands_around_them() {
        let part = "\u{fffd}";
        assert_eq!(found(&["a", part, part, "b", "x"], "a", "éb"), Ok(1..4));
        // The part of the character that is not whole yet is the answer's.
        assert_eq!(found(&["a", "", "é", "b"], "a", "éb"), Ok(1..4));
        // Is the second part the rest of the first, or of what comes behind?
        assert_eq!(found(&["a", part, part], "a", "é"), Err(SpanError::Uncertain));
        assert_eq!(of(&["a", part, part], None, Some(3), "a", "é"), Ok(1..3));
        assert_eq!(of(&["a", part, part], None, Some(2), "a", "é"), Ok(1..2));
        let parts = ["a", part, part, part, part, "b"];
        assert_eq!(found(&parts, "aé", "éb"), Err(SpanError::Uncertain));
        assert_eq!(found(&["a", part, "b"], "a", "eb"), Err(SpanError::Mismatch));
    }

    #[test]
    fn offsets_are_believed_if_they_add_up_to_the_text() {
        let tokens = ["a", "bytes:1", "bytes:2", "b", "x"];
        let of = |tokens: &[&str], offsets: &[usize]| of(tokens, Some(offsets), None, "aé", "b");
        assert_eq!(of(&tokens, &[0, 1, 1, 2, 3]), Ok(3..4));
        assert_eq!(of(&tokens, &[0, 1, 2, 3, 4]), Ok(3..4), "in bytes");
        assert_eq!(of(&tokens[..4], &[0, 1, 1, 2]), Ok(3..4), "nothing was written");
        assert_eq!(of(&tokens, &[0, 1, 8, 15, 16]), Err(SpanError::Mismatch));
        assert_eq!(of(&tokens, &[0, 1, 1, 2, usize::MAX]), Err(SpanError::Mismatch));
        assert_eq!(of(&["x"], &[3]), Err(SpanError::NotEchoed));
        assert_eq!(of(&["x", "y"], &[3, 3]), Err(SpanError::Mismatch));
        let shifted = ["<s>", "a", "bytes:1", "bytes:2", "b", "x"];
        assert_eq!(of(&shifted, &[0, 3, 4, 4, 5, 6]), Ok(4..5));
    }
}
