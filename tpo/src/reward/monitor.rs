//! Warnings about scores that suggest a misconfigured reward model.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::query::Query;

/// Scores, or replies, before a warning about all of them.
const MIN_SCORES: usize = 20;

/// Share of a scale that is its end.
const SCALE_END: f64 = 0.1;

/// Share of a judge's replies that may be unreadable.
const MAX_UNREADABLE: f64 = 0.25;

/// Expected range of a reward model's scores, and advice for scores outside of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpectedScores {
    scores: Scores,
    /// Scores that differ by no more are equal.
    tolerance: f64,
    /// Advice for scores that do not distinguish answers.
    advice: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Scores {
    Any,
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "of servers"))]
    /// Of a model of real numbers, without an activation behind them.
    Raw,
    /// Of a scale, from the lowest to the highest.
    Scale(f64, f64),
}

impl ExpectedScores {
    /// Any numbers.
    pub(super) fn any(advice: &'static str) -> Self {
        Self { scores: Scores::Any, tolerance: 0.0, advice }
    }

    /// Real numbers of a model, so that no two are the same by chance and some are outside of 0 to 1.
    #[cfg(feature = "http")]
    pub(super) fn raw(advice: &'static str) -> Self {
        Self { scores: Scores::Raw, ..Self::any(advice) }
    }

    /// Numbers of a scale.
    pub(super) fn scale(lowest: f64, highest: f64, advice: &'static str) -> Self {
        Self { scores: Scores::Scale(lowest, highest), ..Self::any(advice) }
    }

    #[cfg(feature = "http")]
    /// Scores that differ by no more than this are equal.
    pub(super) fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }
}

/// Watches the scores of a reward model and warns once about each kind of problem. Clones share what they observed:
/// the copies that searches bind are one model.
#[derive(Clone)]
pub(super) struct ScoreMonitor {
    expected: ExpectedScores,
    observed: Arc<Mutex<Observed>>,
}

#[derive(Debug, Default)]
struct Observed {
    seen: usize,
    /// The lowest and the highest score so far.
    range: Option<(f64, f64)>,
    constant: ConstantScores,
    replies: usize,
    unreadable: usize,
    reported: Vec<Suspicion>,
}

/// A problem that the scores suggest.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Suspicion {
    /// All scores lie between 0 and 1.
    Activation,
    /// All scores are the same.
    Constant,
    /// All scores are at this end of their scale.
    End { lowest: f64, highest: f64 },
    /// Answers to one query have the same score, in so many queries in a row.
    ConstantPerQuery { queries: usize },
    /// So much of the replies cannot be read.
    Unreadable { share: f64 },
}

impl ScoreMonitor {
    pub(super) fn new(expected: ExpectedScores) -> Self {
        Self { expected, observed: Arc::default() }
    }

    /// Observes the scores of answers to a query.
    pub(super) fn observe(&self, model: &str, query: &Query, answers: &[&str], scores: &[f64]) {
        for suspicion in self.suspect(query, answers, scores) {
            self.warn(model, suspicion);
        }
    }

    /// Observes how many of some replies could not be parsed.
    pub(super) fn observe_replies(&self, model: &str, replies: usize, unreadable: usize) {
        if let Some(suspicion) = self.suspect_replies(replies, unreadable) {
            self.warn(model, suspicion);
        }
    }

    fn suspect(&self, query: &Query, answers: &[&str], scores: &[f64]) -> Vec<Suspicion> {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = observed.seen;
        let mut constant = None;
        // A score that is not finite is an error elsewhere.
        for (answer, score) in answers.iter().zip(scores).filter(|(_, score)| score.is_finite()) {
            observed.seen += 1;
            let (low, high) = observed.range.unwrap_or((*score, *score));
            observed.range = Some((low.min(*score), high.max(*score)));
            constant = observed
                .constant
                .observe(query, answer, *score, self.expected.tolerance)
                .or(constant);
        }
        let of_all = match observed.range {
            Some((low, high)) if before < MIN_SCORES && observed.seen >= MIN_SCORES => {
                self.expected.suspect_all(low, high)
            }
            _ => None,
        };
        let constant = constant.map(|queries| Suspicion::ConstantPerQuery { queries });
        let mut found = Vec::new();
        for suspicion in of_all.into_iter().chain(constant) {
            found.extend(observed.is_new(suspicion).then_some(suspicion));
        }
        found
    }

    fn suspect_replies(&self, replies: usize, unreadable: usize) -> Option<Suspicion> {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.replies += replies;
        observed.unreadable += unreadable;
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 replies")]
        let share = observed.unreadable as f64 / observed.replies.max(1) as f64;
        let suspicion = Suspicion::Unreadable { share };
        let is_one = observed.replies >= MIN_SCORES && share >= MAX_UNREADABLE;
        (is_one && observed.is_new(suspicion)).then_some(suspicion)
    }

    fn warn(&self, model: &str, suspicion: Suspicion) {
        let advice = self.expected.advice;
        match suspicion {
            Suspicion::Activation => tracing::warn!(
                model,
                "all scores so far lie between 0 and 1: an activation seems to be on, and scores that are \
                 close to its ends become ties; ask the server for raw scores (vLLM: --pooler-config \
                 '{{\"use_activation\": false}}', text-embeddings-inference: raw_scores)"
            ),
            Suspicion::Constant => tracing::warn!(
                model,
                "all scores so far are the same: the model seems not to score what it is sent; {advice}"
            ),
            Suspicion::End { lowest, highest } => tracing::warn!(
                model,
                "all scores so far lie from {lowest} to {highest}, at one end of the scale, so most are ties; \
                 {advice}"
            ),
            Suspicion::ConstantPerQuery { queries } => tracing::warn!(
                model,
                "in each of the last {queries} queries all answers have the same score, so a search has nothing \
                 to go by; {advice}"
            ),
            Suspicion::Unreadable { share } => tracing::warn!(
                model,
                "{:.0} % of the replies so far cannot be read, and are asked for again: longer replies \
                 (max-tokens), another model or another wording may help",
                100.0 * share
            ),
        }
    }
}

impl ExpectedScores {
    /// The problem of all first scores.
    fn suspect_all(&self, low: f64, high: f64) -> Option<Suspicion> {
        match self.scores {
            Scores::Any => None,
            Scores::Raw if high - low <= self.tolerance => Some(Suspicion::Constant),
            Scores::Raw if low >= 0.0 && high <= 1.0 => Some(Suspicion::Activation),
            Scores::Raw => None,
            Scores::Scale(lowest, highest) => {
                let end = SCALE_END * (highest - lowest);
                let is_end = high <= lowest + end || low >= highest - end;
                is_end.then_some(Suspicion::End { lowest: low, highest: high })
            }
        }
    }
}

impl Observed {
    /// Notes a suspicion. False if one of its kind was reported, or if it follows from one.
    fn is_new(&mut self, suspicion: Suspicion) -> bool {
        let follows = |reported: &Suspicion| match (reported, &suspicion) {
            (Suspicion::Constant | Suspicion::End { .. }, Suspicion::ConstantPerQuery { .. }) => {
                true
            }
            (reported, suspicion) => {
                std::mem::discriminant(reported) == std::mem::discriminant(suspicion)
            }
        };
        let is_new = !self.reported.iter().any(follows);
        if is_new {
            self.reported.push(suspicion);
        }
        is_new
    }
}

impl fmt::Debug for ScoreMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScoreMonitor").field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// Different answers with the same score that make a query count.
const MIN_ANSWERS: usize = 3;

/// Such queries in a row before a warning.
const MIN_QUERIES: usize = 20;

/// Remembered queries: more than a run has under way at the same time.
const MAX_REMEMBERED: usize = 1024;

/// Counts queries in a row whose answers all have the same score, whatever it is.
#[derive(Debug, Default)]
pub(super) struct ConstantScores {
    queries: VecDeque<ObservedQuery>,
    in_a_row: usize,
}

/// A query and its answers so far; texts by their hashes.
#[derive(Debug)]
struct ObservedQuery {
    query: u64,
    answers: Vec<u64>,
    score: f64,
    /// Whether another score was seen too.
    differs: bool,
}

impl ConstantScores {
    /// How many there are in a row, if there are enough.
    pub(super) fn observe(
        &mut self,
        query: &Query,
        answer: &str,
        score: f64,
        tolerance: f64,
    ) -> Option<usize> {
        let (query, answer) = (hash(&query.identity()), hash(answer));
        // Those under way are the newest.
        let Some(seen) = self.queries.iter_mut().rev().find(|seen| seen.query == query) else {
            if self.queries.len() == MAX_REMEMBERED {
                self.queries.pop_front();
            }
            self.queries.push_back(ObservedQuery {
                query,
                answers: vec![answer],
                score,
                differs: false,
            });
            return None;
        };
        // Scored anew: where scores are relative, it is worth something else now.
        if seen.differs || seen.answers.contains(&answer) {
            return None;
        }
        if (seen.score - score).abs() > tolerance {
            seen.differs = true;
            self.in_a_row = 0;
            return None;
        }
        if seen.answers.len() >= MIN_ANSWERS {
            return None;
        }
        seen.answers.push(answer);
        if seen.answers.len() < MIN_ANSWERS {
            return None;
        }
        self.in_a_row += 1;
        (self.in_a_row >= MIN_QUERIES).then_some(self.in_a_row)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
