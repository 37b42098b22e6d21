//! A guard against answers that only a reward model likes.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};
use textgrad_core::{Variable, truncate};

use super::TpoParts;
use super::method::Step;
use super::pool::{Candidate, Pool};
use crate::error::Error;

/// What becomes of new versions of an answer that the [guard](suspicion) suspects.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_fn = unknown_guard, parse_err_ty = Error)]
pub enum Guard {
    /// They are treated like all others. A warning tells, once for each kind, that one is returned.
    #[default]
    Warn,
    /// They are left out before they are scored, and count as unusable.
    Exclude,
}

fn unknown_guard(text: &str) -> Error {
    Error::config("guard", "warn or exclude", text)
}

/// Why an answer is suspected to please the reward model only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Suspicion {
    /// Nearly all of its words are those of the query.
    Echo,
    /// It has a fifth of the words of the first samples, or fewer.
    Collapse,
    /// Half of its phrases, or more, repeat others.
    Repetition,
}

/// Words of an answer, at least, that can be an echo.
const MIN_ECHO: usize = 3;
/// The share of an echo's words that is in the query.
const ECHO: f64 = 0.9;
/// Words of first samples, at least, of which a collapse can be told.
const MIN_LENGTH: usize = 20;
/// The part of their length that is a collapse.
const COLLAPSE: f64 = 0.2;
/// Words of an answer, at least, of which repetition can be told.
const MIN_REPETITION: usize = 40;
/// Words of a phrase.
const PHRASE: usize = 4;

/// Whether an answer is an echo of the query, far shorter than the first samples, or repeats itself. What half of the
/// first samples have too is a trait of the query, and not suspected.
///
/// # Examples
/// ```
/// use tpo::search::{Suspicion, suspicion};
///
/// let (query, first) = ("What is the color of Mars?", ["The color of Mars is red.", "It looks red."]);
/// assert_eq!(suspicion(query, &first, "What is the color of Mars?"), Some(Suspicion::Echo));
/// assert_eq!(suspicion(query, &first, "The color of Mars is red."), None);
/// ```
#[must_use]
pub fn suspicion(query: &str, first: &[&str], answer: &str) -> Option<Suspicion> {
    let (query, words_of_answer) = (words(query), words(answer));
    let is_trait = |holds: &dyn Fn(&[u64]) -> bool| {
        2 * first.iter().filter(|text| holds(&words(text))).count() >= first.len().max(1)
    };
    if echoes(&query, &words_of_answer) && !is_trait(&|words| echoes(&query, words)) {
        return Some(Suspicion::Echo);
    }
    let shortest = COLLAPSE * first.iter().map(|text| text.len()).max().unwrap_or_default() as f64;
    // A word takes a byte and a blank at least: most answers need no count.
    if words_of_answer.len() as f64 <= shortest / 2.0 + 1.0 {
        let mut lengths: Vec<usize> = first.iter().map(|text| words(text).len()).collect();
        lengths.sort_unstable();
        let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
        if median >= MIN_LENGTH && words_of_answer.len() as f64 <= COLLAPSE * median as f64 {
            return Some(Suspicion::Collapse);
        }
    }
    (repeats(&words_of_answer) && !is_trait(&|words| repeats(words)))
        .then_some(Suspicion::Repetition)
}

/// The texts of the first samples.
fn first_texts(pool: &Pool) -> Vec<&str> {
    let candidates = pool.candidates().iter();
    candidates.filter(|one| one.iteration == 0).map(Candidate::text).collect()
}

/// Warns if the answer that a search returns is suspected, once for each reason.
pub(super) fn warn(tpo: &TpoParts, query: &str, pool: &Pool, best: Option<usize>) {
    let Some(best) = best.and_then(|best| pool.get(best)) else { return };
    let Some(kind) = suspicion(query, &first_texts(pool), best.text()) else { return };
    if tpo.warned.lock().insert(kind) {
        let answer = truncate(best.text(), 80);
        tracing::warn!(
            "the answer with the best score is suspected of {kind}: {answer:?}; the reward model may be misled. \
             --guard exclude leaves such new versions out"
        );
    }
}

/// New versions without those that the guard leaves out, which become unusable ones of the steps that made them.
pub(super) fn admitted<'a>(
    tpo: &TpoParts,
    query: &str,
    pool: &Pool,
    steps: impl Iterator<Item = &'a mut Step>,
    answers: Vec<Variable>,
) -> Vec<Variable> {
    // The first samples are what others are compared with.
    if tpo.config.guard != Guard::Exclude || pool.candidates().is_empty() {
        return answers;
    }
    let first = first_texts(pool);
    let suspected = |answer: &Variable| suspicion(query, &first, answer.text().unwrap_or_default());
    let suspected: Vec<Option<Suspicion>> = answers.iter().map(suspected).collect();
    let mut found = suspected.iter();
    for step in steps {
        let own = found.by_ref().take(step.record.updates).flatten();
        let problems: Vec<String> =
            own.map(|kind| format!("left out by the guard: {kind}")).collect();
        step.record.updates -= problems.len();
        step.record.unusable.extend(problems);
    }
    let kept = answers.into_iter().zip(suspected).filter(|(_, kind)| kind.is_none());
    kept.map(|(answer, _)| answer).collect()
}

/// The words of a text in small letters, by their hashes.
fn words(text: &str) -> Vec<u64> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let hash = |word: &str| match word.is_ascii() {
        true => fnv(word.bytes().map(|byte| byte.to_ascii_lowercase().into())),
        false => fnv(word.chars().flat_map(char::to_lowercase).map(u64::from)),
    };
    words.map(hash).collect()
}

/// A hash that is fast for short texts: FNV-1a, over characters in place of bytes.
fn fnv(parts: impl Iterator<Item = u64>) -> u64 {
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01B3;
    parts.fold(OFFSET, |hash, part| (hash ^ part).wrapping_mul(PRIME))
}

fn echoes(query: &[u64], answer: &[u64]) -> bool {
    let most = query.len() as f64 / ECHO;
    if answer.len() < MIN_ECHO || answer.len() * 2 < query.len() || answer.len() as f64 > most {
        return false;
    }
    let mut left: HashMap<u64, usize> = HashMap::new();
    query.iter().for_each(|word| *left.entry(*word).or_default() += 1);
    let of_query = answer.iter().filter(|word| match left.get_mut(word) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    });
    of_query.count() as f64 >= ECHO * answer.len() as f64
}

fn repeats(answer: &[u64]) -> bool {
    if answer.len() < MIN_REPETITION {
        return false;
    }
    let mut phrases: Vec<u64> =
        answer.windows(PHRASE).map(|phrase| fnv(phrase.iter().copied())).collect();
    let all = phrases.len();
    phrases.sort_unstable();
    phrases.dedup();
    phrases.len() * 2 <= all
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str =
        "How should I weigh consistency against openness when I judge a political idea?";
    const LONG: &str = "Look at what the idea claims first, and then at what would follow if it were true. An idea \
                        that contradicts itself cannot guide anyone, while one that never changes cannot learn.";

    #[test]
    fn what_pleases_a_reward_model_only_is_suspected() {
        let first = [
            LONG,
            "Weigh both: a consistent idea is easier to test, and an open one is easier to mend. Ask \
                            who would object, and whether the idea has an answer to that.",
        ];
        let again = "It is good to be consistent and open. ".repeat(9);
        for (answer, expected) in [
            (QUERY, Some(Suspicion::Echo)),
            (
                "When I judge a political idea, how should I weigh openness against consistency?",
                Some(Suspicion::Echo),
            ),
            ("Yes.", Some(Suspicion::Collapse)),
            ("", Some(Suspicion::Collapse)),
            (again.as_str(), Some(Suspicion::Repetition)),
            (LONG, None),
            (
                "Weigh consistency first, since an idea that contradicts itself gives no guidance.",
                None,
            ),
        ] {
            assert_eq!(suspicion(QUERY, &first, answer), expected, "{answer}");
        }
    }

    #[test]
    fn a_trait_of_the_query_is_not_suspected() {
        let query = "Repeat after me: the cat sat on the mat.";
        let echo = "The cat sat on the mat.";
        assert_eq!(suspicion(query, &[echo, "the cat sat on the mat"], echo), None);
        assert_eq!(suspicion("Is it Rome or Paris?", &["Paris", "Paris."], "Paris"), None);
        assert_eq!(suspicion(query, &[], echo), Some(Suspicion::Echo));
    }

    #[test]
    fn names_go_both_ways() {
        for guard in [Guard::Warn, Guard::Exclude] {
            assert_eq!(guard.to_string().parse::<Guard>().unwrap(), guard);
            assert_eq!(serde_json::to_value(guard).unwrap(), guard.to_string());
        }
        let error = "off".parse::<Guard>().unwrap_err().to_string();
        assert_eq!(error, "guard: expected warn or exclude, got off");
    }
}
