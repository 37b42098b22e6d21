//! Criteria: what speaks for an answer, and what against it.
//!
//! One row of `tables.json` serves every part: the policy and the updater write its wordings, the reward model
//! and the critic find its cues, the critic and the gradient name it, and readers of a critique or an instruction
//! recognize it by its mentions. A new criterion is one new row.

use std::sync::LazyLock;

use regex::RegexSet;
use serde::Deserialize;

use super::text::{has_any, normalise, sentences};
use super::topic::{key_words, topic};

/// The kind of a criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Speaks for an answer to a query that calls for it.
    Strength,
    /// Never wanted.
    Flaw,
    /// A flaw of the text as a whole: too many words.
    Length,
    /// A way of working out an answer, which a prompt can ask for.
    Technique(Technique),
}

/// A technique by which counting questions are worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Technique {
    /// List everything with its number.
    List,
    /// Leave out what is not asked for.
    Ignore,
    /// Watch number words, articles and plurals.
    Numbers,
    /// Check the sum again.
    Verify,
    /// Put the answer on the last line, in a fixed form.
    Form,
    /// Answer without any working: harmful.
    Brief,
}

/// A row of the table. Cues, triggers and mentions are phrases of lower-case words; `#` is any number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Criterion {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether queries without a trigger call for it too.
    #[serde(default)]
    always: bool,
    /// Its share in the reward.
    #[serde(default)]
    pub(super) weight: f64,
    /// Its position in an answer, from 0 (first) to 9 (last).
    #[serde(default)]
    pub(super) position: u8,
    /// The mistake that it helps against, as the critic names it.
    #[serde(default)]
    pub(super) mistake: String,
    /// Phrases in a query that call for it.
    #[serde(default)]
    pub(super) triggers: Vec<String>,
    /// Sentences that have it; `{topic}` stands for the topic of the query.
    #[serde(default)]
    pub(super) wordings: Vec<String>,
    /// Phrases in a sentence that show it.
    #[serde(default)]
    pub(super) cues: Vec<String>,
    /// What it is called in a critique.
    pub(super) names: Vec<String>,
    /// Instructions to add it or, if it is a flaw, to remove it.
    pub(super) instructions: Vec<String>,
    /// Phrases by which a critique or an instruction mentions it.
    pub(super) mentions: Vec<String>,
}

impl PartialEq for Criterion {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Criterion {
    /// Whether an instruction that mentions it asks for it.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.kind, Kind::Flaw | Kind::Length)
    }

    pub(super) fn technique(&self) -> Option<Technique> {
        match self.kind {
            Kind::Technique(technique) => Some(technique),
            _ => None,
        }
    }
}

/// The words that the simulation knows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tables {
    criteria: Vec<Criterion>,
    pub(super) categories: Vec<Category>,
    pub(super) stopwords: Vec<String>,
}

/// A category of things that are counted: what questions call it, and its things, each as one and as many.
#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub(super) name: String,
    pub(super) things: Vec<(String, String)>,
}

pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    // A test reads the file, so it is known to be right.
    serde_json::from_str(include_str!("tables.json")).unwrap_or_default()
});

/// The phrases of one column, as one pattern for each row: all are looked for in one pass.
struct Phrases(RegexSet);

static CUES: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(|row| &row.cues));
static TRIGGERS: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(|row| &row.triggers));
static MENTIONS: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(|row| &row.mentions));

impl Phrases {
    fn of(column: fn(&Criterion) -> &[String]) -> Self {
        let patterns = TABLES.criteria.iter().map(|row| {
            let phrases: Vec<String> = column(row).iter().map(|text| regex::escape(text)).collect();
            format!(" (?:{}) ", phrases.join("|"))
        });
        // Escaped phrases always make a pattern.
        Self(RegexSet::new(patterns).unwrap_or_else(|_| RegexSet::empty()))
    }

    /// The rows one of whose phrases occurs in a normalised text, as whole words.
    fn find(&self, normalised: &str) -> Vec<&'static Criterion> {
        let found = self.0.matches(normalised).into_iter();
        found.filter_map(|index| TABLES.criteria.get(index)).collect()
    }
}

/// The criteria of answers to open queries.
pub(super) fn criteria() -> impl Iterator<Item = &'static Criterion> {
    TABLES.criteria.iter().filter(|row| row.technique().is_none())
}

/// The rows of the techniques.
pub(super) fn techniques() -> impl Iterator<Item = (&'static Criterion, Technique)> {
    TABLES.criteria.iter().filter_map(|row| Some((row, row.technique()?)))
}

/// The rows that a normalised sentence of a critique or an instruction mentions. A sentence about how to work out
/// an answer mentions nothing else.
pub(super) fn mentioned(words: &str) -> Vec<&'static Criterion> {
    let mut rows = MENTIONS.find(words);
    if rows.iter().any(|row| row.technique().is_some()) {
        rows.retain(|row| row.technique().is_some());
    }
    rows
}

/// The longest answer that no query minds, in words, and the same where brevity is asked for.
const BUDGET: (usize, usize) = (220, 80);

/// What a good answer to a query has.
#[derive(Debug)]
pub(super) struct Needs {
    pub(super) strengths: Vec<&'static Criterion>,
    pub(super) topic: String,
    /// Words from which on an answer is too long.
    pub(super) budget: usize,
    keys: Vec<String>,
}

impl Needs {
    pub(super) fn of(query: &str) -> Self {
        let triggered = TRIGGERS.find(&normalise(query));
        let is_brief = triggered.iter().any(|row| row.kind == Kind::Length);
        let is_wanted = |row: &Criterion| row.always || triggered.contains(&row);
        Self {
            strengths: criteria()
                .filter(|row| row.kind == Kind::Strength && is_wanted(row))
                .collect(),
            topic: topic(query),
            budget: if is_brief { BUDGET.1 } else { BUDGET.0 },
            keys: key_words(query),
        }
    }

    /// The share of the query's key words that a text takes up, in [0, 1].
    pub(super) fn relevance(&self, text: &str) -> f64 {
        if self.keys.is_empty() {
            return 1.0;
        }
        let words = normalise(text);
        let found = self.keys.iter().filter(|key| has_any(&words, [key])).count();
        found as f64 / self.keys.len() as f64
    }
}

/// The criteria that a sentence shows.
pub(super) fn marks(sentence: &str) -> Vec<&'static Criterion> {
    CUES.find(&normalise(sentence))
}

/// A text, sentence by sentence, and what it has as a whole.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) sentences: Vec<(&'a str, Vec<&'static Criterion>)>,
    pub(super) marks: Vec<&'static Criterion>,
    pub(super) words: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn of(text: &'a str, budget: usize) -> Self {
        let sentences: Vec<_> =
            sentences(text).into_iter().map(|sentence| (sentence, marks(sentence))).collect();
        let words = text.split_whitespace().count();
        let too_long = criteria().filter(|row| row.kind == Kind::Length && words > budget);
        let marks =
            sentences.iter().flat_map(|(_, marks)| marks).copied().chain(too_long).collect();
        Self { sentences, marks, words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_its_names_are_unique() {
        let tables: Tables = serde_json::from_str(include_str!("tables.json")).expect("a table");
        assert_eq!((criteria().count(), techniques().count()), (17, 6));
        let rows = &tables.criteria;
        for (index, row) in rows.iter().enumerate() {
            assert!(rows.iter().skip(index + 1).all(|other| other.name != row.name));
            assert!(row.position <= 9 && (row.weight > 0.0 || row.technique().is_some()));
            assert!(!row.names.is_empty() && !row.instructions.is_empty());
        }
    }

    #[test]
    fn every_wording_shows_its_own_criterion_and_no_other() {
        for row in criteria() {
            assert_eq!(row.wordings.is_empty(), row.kind == Kind::Length, "{}", row.name);
            for wording in &row.wordings {
                for topic in ["a wooden table", "quantum mechanics", "this question", "it"] {
                    let sentence = wording.replace("{topic}", topic);
                    assert_eq!(marks(&sentence), [row], "{}: {sentence}", row.name);
                    assert_eq!(sentences(&sentence).len(), 1, "{sentence}");
                }
            }
        }
    }

    #[test]
    fn every_cue_has_the_form_that_is_looked_for() {
        for row in &TABLES.criteria {
            for phrase in [&row.cues, &row.triggers, &row.mentions].into_iter().flatten() {
                let spoken = phrase.replace('#', "12");
                assert_eq!(normalise(&spoken).trim(), phrase, "{}", row.name);
            }
        }
    }

    #[test]
    fn queries_call_for_what_their_words_say() {
        let wanted = |query: &str, name: &str| {
            Needs::of(query).strengths.into_iter().any(|row| row.name == name)
        };
        assert!(wanted("How do I bake challah?", "steps"));
        assert!(!wanted("Is the sky blue?", "steps"));
        assert!(wanted("Is tea better than coffee?", "comparison"));
        assert!(wanted("How many moons are there?", "figure"));
        assert!(wanted("", "reason"));
        assert!(Needs::of("Tell me briefly").budget < Needs::of("Tell me").budget);
    }
}
