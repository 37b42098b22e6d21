//! Known prefixes of requests.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use textgrad_core::{Message, MessageRole};

/// The most bytes of conversations remembered.
const CAPACITY: usize = 16 << 20;

/// The conversations read and written, in order of their text.
///
/// Of a sorted set, the members that share the longest beginning with a text are its neighbours in the order:
/// two look-ups and two comparisons find what a trie of characters would.
#[derive(Debug)]
pub struct Prefixes {
    sorted: BTreeSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
    capacity: usize,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self { sorted: BTreeSet::new(), order: VecDeque::new(), bytes: 0, capacity: CAPACITY }
    }
}

/// Characters of a request, and those of them known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// Characters of all messages.
    pub characters: u64,
    /// Of these, those that were known.
    pub reused: u64,
}

/// What goes before and after the text of a message: it ends so that an answer put behind a request is the
/// beginning of the request that continues it.
fn opening(role: MessageRole) -> String {
    format!("{role}\u{1}")
}

const CLOSING: &str = "\u{2}";

fn transcript(messages: &[Message]) -> String {
    messages.iter().map(|message| opening(message.role) + &message.text() + CLOSING).collect()
}

impl Prefixes {
    /// How much of a request is known; from now on all of it is.
    pub fn read(&mut self, messages: &[Message]) -> Reuse {
        let text = transcript(messages);
        let mut known = self.known_characters(&text);
        let mut reuse = Reuse { characters: 0, reused: 0 };
        for message in messages {
            let characters = message.text().chars().count();
            known = known.saturating_sub(opening(message.role).chars().count());
            reuse.characters += characters as u64;
            reuse.reused += known.min(characters) as u64;
            known = known.saturating_sub(characters + CLOSING.chars().count());
        }
        self.insert(text.into());
        reuse
    }

    /// Remembers an answer to a request.
    pub fn wrote(&mut self, messages: &[Message], answer: &str) {
        let answer = Message::assistant(answer);
        let text = transcript(messages) + &transcript(std::slice::from_ref(&answer));
        self.insert(text.into());
    }

    fn known_characters(&self, text: &str) -> usize {
        let up_to = (Bound::Unbounded, Bound::Included(text));
        let from = (Bound::Included(text), Bound::Unbounded);
        let before = self.sorted.range::<str, _>(up_to).next_back();
        let after = self.sorted.range::<str, _>(from).next();
        before.into_iter().chain(after).map(|other| common(other, text)).max().unwrap_or_default()
    }

    fn insert(&mut self, text: Arc<str>) {
        if self.sorted.insert(Arc::clone(&text)) {
            self.bytes += text.len();
            self.order.push_back(text);
        }
        while self.bytes > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= oldest.len();
            self.sorted.remove(&oldest);
        }
    }
}

/// Characters that two texts have in common at their beginning.
fn common(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reused(prefixes: &mut Prefixes, messages: &[Message]) -> u64 {
        prefixes.read(messages).reused
    }

    #[test]
    fn what_was_read_or_written_is_known() {
        let mut prefixes = Prefixes::default();
        let first = [Message::system("rules"), Message::user("héllo")];
        assert_eq!(prefixes.read(&first), Reuse { characters: 10, reused: 0 });
        prefixes.wrote(&first, "an answer");
        prefixes.wrote(&first, "another");
        assert_eq!(reused(&mut prefixes, &first), 10);

        let [rules, hello] = first;
        let continued =
            [rules.clone(), hello.clone(), Message::assistant("an answer"), Message::user("why?")];
        assert_eq!(reused(&mut prefixes, &continued), 19);
        let changed = [rules.clone(), hello, Message::assistant("an apple")];
        assert_eq!(reused(&mut prefixes, &changed), 14);
        assert_eq!(reused(&mut prefixes, &[rules, Message::user("hé!")]), 7);
    }

    #[test]
    fn the_same_text_in_another_role_is_not_known() {
        let mut prefixes = Prefixes::default();
        prefixes.read(&[Message::system("text")]);
        assert_eq!(reused(&mut prefixes, &[Message::user("text")]), 0);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten() {
        let mut prefixes = Prefixes { capacity: 40, ..Prefixes::default() };
        for text in ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"] {
            prefixes.read(&[Message::user(text)]);
            assert!(prefixes.bytes <= 40);
        }
        assert_eq!(prefixes.sorted.len(), prefixes.order.len());
        assert_eq!(reused(&mut prefixes, &[Message::user("cccccccccc")]), 10);
        assert_eq!(reused(&mut prefixes, &[Message::user("aaaaaaaaaa")]), 0);
    }
}
