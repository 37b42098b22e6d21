//! Word-level differences of two texts.

use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use unicode_segmentation::UnicodeSegmentation;

/// Beyond so many pairs of words, lines are compared, and beyond so many pairs of lines nothing is: the
/// comparison of two texts that have nothing in common takes time in the product of their lengths.
const MOST_PAIRS: usize = 16_000_000;

/// A run of so many characters (Unicode scalar values) that stayed, went or came. In JSON a list of two, as
/// `["+", 5]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordChange(pub WordChangeKind, pub usize);

/// What became of a run of characters. In JSON `=`, `-` or `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WordChangeKind {
    /// It stayed.
    #[serde(rename = "=")]
    Same,
    /// It went: it is in the text before.
    #[serde(rename = "-")]
    Removed,
    /// It came: it is in the text after.
    #[serde(rename = "+")]
    Added,
}

/// The runs that lead from one text to another, in order; where characters were both removed and
/// added, the removed ones are first. Words are compared, of very long texts that share little only lines.
///
/// # Examples
/// ```
/// use textgrad_core::{WordChange, WordChangeKind as Kind, word_changes};
///
/// let changes = word_changes("Be brief.", "Be kind.");
/// let expected = [(Kind::Same, 3), (Kind::Removed, 5), (Kind::Added, 4), (Kind::Same, 1)];
/// assert_eq!(changes, expected.map(|(kind, chars)| WordChange(kind, chars)));
/// ```
#[must_use]
pub fn word_changes(before: &str, after: &str) -> Vec<WordChange> {
    between(&words(before), &words(after))
        .or_else(|| between(&lines(before), &lines(after)))
        .unwrap_or_else(|| replaced(before, after))
}

fn between(before: &[&str], after: &[&str]) -> Option<Vec<WordChange>> {
    if before.len().saturating_mul(after.len()) > MOST_PAIRS {
        return None;
    }
    let mut runs = Runs::default();
    for op in capture_diff_slices(Algorithm::Myers, before, after) {
        let old = before.get(op.old_range()).unwrap_or_default();
        let new = after.get(op.new_range()).unwrap_or_default();
        match op {
            DiffOp::Equal { .. } => runs.same(old),
            _ => runs.change(length(old), length(new)),
        }
    }
    Some(runs.finish())
}

fn words(text: &str) -> Vec<&str> {
    text.split_word_bounds().collect()
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn replaced(before: &str, after: &str) -> Vec<WordChange> {
    let mut runs = Runs::default();
    runs.change(length(&[before]), length(&[after]));
    runs.finish()
}

fn length(pieces: &[&str]) -> usize {
    pieces.iter().map(|piece| piece.chars().count()).sum()
}

/// Runs under construction. Blanks and marks between two changes that happen to be the same are no island
/// that a reader could stand on: they go and come with the words around them.
#[derive(Default)]
struct Runs {
    done: Vec<WordChange>,
    removed: usize,
    added: usize,
    island: usize,
}

impl Runs {
    fn same(&mut self, pieces: &[&str]) {
        let small = !pieces.iter().any(|piece| piece.contains(char::is_alphanumeric));
        let open = self.removed + self.added > 0;
        if small && open {
            self.island += length(pieces);
        } else {
            self.close();
            self.done.push(WordChange(WordChangeKind::Same, length(pieces)));
        }
    }

    fn change(&mut self, removed: usize, added: usize) {
        let island = std::mem::take(&mut self.island);
        self.removed += removed + island;
        self.added += added + island;
    }

    fn close(&mut self) {
        let runs = [
            WordChange(WordChangeKind::Removed, std::mem::take(&mut self.removed)),
            WordChange(WordChangeKind::Added, std::mem::take(&mut self.added)),
            WordChange(WordChangeKind::Same, std::mem::take(&mut self.island)),
        ];
        self.done.extend(runs.into_iter().filter(|WordChange(_, length)| *length > 0));
    }

    fn finish(mut self) -> Vec<WordChange> {
        self.close();
        let mut runs: Vec<WordChange> = Vec::with_capacity(self.done.len());
        for WordChange(kind, length) in self.done {
            match runs.last_mut() {
                Some(WordChange(last, sum)) if *last == kind => *sum += length,
                _ => runs.push(WordChange(kind, length)),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> String {
        let (mut old, mut new) = (before.chars(), after.chars());
        let mut shown = String::new();
        for WordChange(kind, length) in word_changes(before, after) {
            let text = |chars: &mut std::str::Chars<'_>| chars.take(length).collect::<String>();
            match kind {
                WordChangeKind::Same => {
                    let same = text(&mut old);
                    assert_eq!(same, text(&mut new));
                    shown.push_str(&same);
                }
                WordChangeKind::Removed => shown.push_str(&format!("[-{}-]", text(&mut old))),
                WordChangeKind::Added => shown.push_str(&format!("[+{}+]", text(&mut new))),
            }
        }
        assert_eq!((old.as_str(), new.as_str()), ("", ""), "all of both is covered");
        shown
    }

    #[test]
    fn words_that_went_and_came_are_told_apart() {
        for (before, after, expected) in [
            ("Be brief.", "Be very brief.", "Be [+very +]brief."),
            ("one two three", "one three", "one [-two -]three"),
            ("a b c d", "a x y d", "a [-b c-][+x y+] d"),
            ("same", "same", "same"),
            ("", "new text", "[+new text+]"),
            ("old", "", "[-old-]"),
            ("", "", ""),
            ("é👩‍👩‍👧 ok", "é👩‍👩‍👧 no", "é👩‍👩‍👧 [-ok-][+no+]"),
        ] {
            assert_eq!(shown(before, after), expected);
        }
    }

    #[test]
    fn long_texts_that_share_nothing_are_not_compared_word_by_word() {
        let words =
            |prefix: &str| (0..5_000).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>().join(" ");
        let (before, after) = (words("a"), words("b"));
        assert_eq!(word_changes(&before, &after).len(), 2);
        let (before, after) = (format!("head\n{before}"), format!("head\n{after}"));
        assert_eq!(
            word_changes(&before, &after).first(),
            Some(&WordChange(WordChangeKind::Same, 5))
        );
    }
}
