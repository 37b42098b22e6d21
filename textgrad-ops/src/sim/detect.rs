//! Detection of criteria in a text, by the words in it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::criteria::{Criterion, Kind, criteria};
use super::text::{entries, has_any, normalise, sentences};
use super::topic::{key_words, topic};

/// A set of criteria.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Set(u32);

impl Set {
    pub(super) fn insert(&mut self, index: usize) {
        self.0 |= bit(index);
    }

    pub(super) fn contains(self, index: usize) -> bool {
        self.0 & bit(index) != 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

fn bit(index: usize) -> u32 {
    u32::try_from(index).ok().and_then(|index| 1_u32.checked_shl(index)).unwrap_or(0)
}

/// The phrases of one column of the table, by their first word.
pub(super) struct Phrases(BTreeMap<&'static str, Vec<(usize, &'static str)>>);

/// What shows a criterion in a text.
static CUES: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(|row| row.cues));
/// What calls for a criterion in a query.
static TRIGGERS: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(|row| row.triggers));
/// What speaks of a criterion in a critique or an instruction.
pub(super) static MENTIONS: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(|row| row.mentions));

impl Phrases {
    fn of(column: fn(&Criterion) -> &'static str) -> Self {
        let mut by_first: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, row) in criteria() {
            for phrase in entries(column(row)) {
                let first = phrase.split(' ').next().unwrap_or_default();
                by_first.entry(first).or_default().push((index, phrase));
            }
        }
        Self(by_first)
    }

    /// The criteria that one of whose phrases occurs in a normalised text, as whole words.
    pub(super) fn find(&self, normalised: &str) -> Set {
        let mut found = Set::default();
        let mut rest = normalised.trim_start();
        while let Some((word, after)) = rest.split_once(' ') {
            for (index, phrase) in self.0.get(word).into_iter().flatten() {
                if rest.strip_prefix(phrase).is_some_and(|after| after.starts_with(' ')) {
                    found.insert(*index);
                }
            }
            rest = after;
        }
        found
    }
}

/// The longest answer that no query minds, in words, and the same where brevity is asked for.
const BUDGET: (usize, usize) = (220, 80);

/// What a good answer to a query has.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) strengths: Set,
    pub(super) topic: String,
    /// Words from which on an answer is too long.
    pub(super) budget: usize,
    keys: Vec<String>,
}

impl Needs {
    pub(super) fn of(query: &str) -> Self {
        let triggered = TRIGGERS.find(&normalise(query));
        let mut needs = Self {
            strengths: Set::default(),
            topic: topic(query),
            budget: BUDGET.0,
            keys: key_words(query),
        };
        for (index, row) in criteria() {
            let triggered = triggered.contains(index);
            match row.kind {
                Kind::Strength { always } if always || triggered => needs.strengths.insert(index),
                Kind::Length if triggered => needs.budget = BUDGET.1,
                _ => {}
            }
        }
        needs
    }

    /// The share of the query's key words that a text takes up, in [0, 1].
    pub(super) fn relevance(&self, text: &str) -> f64 {
        if self.keys.is_empty() {
            return 1.0;
        }
        let words = normalise(text);
        let found = self.keys.iter().filter(|key| has_any(&words, key));
        count(found.count()) / count(self.keys.len())
    }
}

/// A small count as a number to calculate with.
pub(super) fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The criteria that a sentence shows.
pub(super) fn marks(sentence: &str) -> Set {
    CUES.find(&normalise(sentence))
}

/// A text, sentence by sentence, and what it has as a whole.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) sentences: Vec<(&'a str, Set)>,
    pub(super) marks: Set,
    pub(super) words: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn of(text: &'a str, budget: usize) -> Self {
        let sentences: Vec<(&str, Set)> =
            sentences(text).into_iter().map(|sentence| (sentence, marks(sentence))).collect();
        let words = text.split_whitespace().count();
        let mut marks = sentences.iter().fold(Set::default(), |all, (_, marks)| all.union(*marks));
        for (index, row) in criteria() {
            if row.kind == Kind::Length && words > budget {
                marks.insert(index);
            }
        }
        Self { sentences, marks, words }
    }

    /// How many sentences show a criterion.
    pub(super) fn count(&self, index: usize) -> usize {
        self.sentences.iter().filter(|(_, marks)| marks.contains(index)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_its_sets_and_its_names_are_unique() {
        assert!(criteria().count() <= 32);
        for (index, row) in criteria() {
            assert!(criteria().skip(index + 1).all(|(_, other)| other.name != row.name));
            assert!(row.position <= 9 && row.weight > 0.0);
            assert!(!row.names.is_empty() && !row.instructions.is_empty());
        }
    }

    #[test]
    fn every_wording_shows_its_own_criterion_and_no_other() {
        for (index, row) in criteria() {
            assert_eq!(row.wordings.is_empty(), row.kind == Kind::Length, "{}", row.name);
            for wording in entries(row.wordings) {
                for topic in ["a wooden table", "quantum mechanics", "this question", "it"] {
                    let sentence = wording.replace("{topic}", topic);
                    let mut own = Set::default();
                    own.insert(index);
                    assert_eq!(marks(&sentence), own, "{}: {sentence}", row.name);
                    assert_eq!(sentences(&sentence).len(), 1, "{sentence}");
                }
            }
        }
    }

    #[test]
    fn every_cue_has_the_form_that_is_looked_for() {
        for (_, row) in criteria() {
            for phrase in [row.cues, row.triggers, row.mentions].into_iter().flat_map(entries) {
                let spoken = phrase.replace('#', "12");
                assert_eq!(normalise(&spoken).trim(), phrase, "{}", row.name);
            }
        }
    }

    #[test]
    fn queries_call_for_what_their_words_say() {
        let wanted = |query: &str, name: &str| {
            let needs = Needs::of(query);
            criteria().any(|(index, row)| row.name == name && needs.strengths.contains(index))
        };
        assert!(wanted("How do I bake challah?", "steps"));
        assert!(!wanted("Is the sky blue?", "steps"));
        assert!(wanted("Is tea better than coffee?", "comparison"));
        assert!(wanted("How many moons are there?", "figure"));
        assert!(wanted("", "reason"));
        assert!(Needs::of("Tell me briefly").budget < Needs::of("Tell me").budget);
    }
}
