//! What changed between two texts, by word.

use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use unicode_segmentation::UnicodeSegmentation;

/// Beyond so many pairs of words, lines are compared, and beyond so many pairs of lines nothing is: the
/// comparison of two texts that have nothing in common takes time in the product of their lengths.
const MOST_PAIRS: usize = 16_000_000;

/// A run of characters (Unicode scalar values) that stayed, went or came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change(pub(super) Kind, pub(super) usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    #[serde(rename = "=")]
    Same,
    #[serde(rename = "-")]
    Removed,
    #[serde(rename = "+")]
    Added,
}

/// The runs that lead from one text to the other, in order; of a place where something went and something
/// came, what went is first.
pub(super) fn changes(before: &str, after: &str) -> Vec<Change> {
    between(&words(before), &words(after))
        .or_else(|| between(&lines(before), &lines(after)))
        .unwrap_or_else(|| replaced(before, after))
}

fn between(before: &[&str], after: &[&str]) -> Option<Vec<Change>> {
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

fn replaced(before: &str, after: &str) -> Vec<Change> {
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
    done: Vec<Change>,
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
            self.done.push(Change(Kind::Same, length(pieces)));
        }
    }

    fn change(&mut self, removed: usize, added: usize) {
        let island = std::mem::take(&mut self.island);
        self.removed += removed + island;
        self.added += added + island;
    }

    fn close(&mut self) {
        let runs = [
            Change(Kind::Removed, std::mem::take(&mut self.removed)),
            Change(Kind::Added, std::mem::take(&mut self.added)),
            Change(Kind::Same, std::mem::take(&mut self.island)),
        ];
        self.done.extend(runs.into_iter().filter(|Change(_, length)| *length > 0));
    }

    fn finish(mut self) -> Vec<Change> {
        self.close();
        let mut runs: Vec<Change> = Vec::with_capacity(self.done.len());
        for Change(kind, length) in self.done {
            match runs.last_mut() {
                Some(Change(last, sum)) if *last == kind => *sum += length,
                _ => runs.push(Change(kind, length)),
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
        for Change(kind, length) in changes(before, after) {
            let text = |chars: &mut std::str::Chars<'_>| chars.take(length).collect::<String>();
            match kind {
                Kind::Same => {
                    let same = text(&mut old);
                    assert_eq!(same, text(&mut new));
                    shown.push_str(&same);
                }
                Kind::Removed => shown.push_str(&format!("[-{}-]", text(&mut old))),
                Kind::Added => shown.push_str(&format!("[+{}+]", text(&mut new))),
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
        assert_eq!(changes(&before, &after).len(), 2);
        let (before, after) = (format!("head\n{before}"), format!("head\n{after}"));
        assert_eq!(changes(&before, &after).first(), Some(&Change(Kind::Same, 5)));
    }
}
