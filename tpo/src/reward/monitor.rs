//! Warnings about scores that suggest a misconfigured reward model.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::mem::discriminant;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::query::Query;

/// Scores, or replies, before a warning about all of them.
const MIN_SCORES: usize = 20;

/// Share of a scale that is its end.
const SCALE_END: f64 = 0.1;

/// Share of a judge's replies that may be unreadable.
const MAX_UNREADABLE: f64 = 0.25;

/// Different answers with the same score that make a query count.
const MIN_ANSWERS: usize = 3;

/// Such queries in a row before a warning.
const MIN_QUERIES: usize = 20;

/// Remembered queries: more than a run has under way at the same time.
const MAX_REMEMBERED: usize = 1024;

/// Expected range of a reward model's scores.
#[derive(Debug, Clone, Copy)]
pub(super) enum ExpectedScores {
    /// Any numbers.
    Any,
    /// Real numbers of a model without an activation, so that no two are the same by chance and some are outside of
    /// 0 to 1.
    #[cfg_attr(
        not(any(feature = "http", feature = "local-reward")),
        allow(dead_code, reason = "of models with raw scores")
    )]
    Raw,
    /// Numbers of a scale, from the lowest to the highest.
    Scale(f64, f64),
}

/// Watches the scores of a reward model and warns once about each kind of problem. Clones share what they observed:
/// the copies that searches bind are one model.
#[derive(Clone)]
pub(super) struct ScoreMonitor {
    expected: ExpectedScores,
    /// Scores that differ by no more are equal.
    tolerance: f64,
    /// Advice for scores that do not distinguish answers.
    advice: &'static str,
    observed: Arc<Mutex<Observed>>,
}

#[derive(Default)]
struct Observed {
    scores: usize,
    /// The lowest and the highest score so far.
    range: Option<(f64, f64)>,
    queries: VecDeque<ObservedQuery>,
    /// Queries in a row whose answers all have the same score, whatever it is.
    constant_in_a_row: usize,
    replies: usize,
    unreadable: usize,
    reported: Vec<Suspicion>,
}

/// A query and its answers so far; texts by their hashes.
struct ObservedQuery {
    query: u64,
    answers: Vec<u64>,
    score: f64,
    /// Whether another score was seen too.
    differs: bool,
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
    pub(super) fn new(expected: ExpectedScores, advice: &'static str) -> Self {
        Self { expected, tolerance: 0.0, advice, observed: Arc::default() }
    }

    #[cfg(feature = "http")]
    pub(super) fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
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
        let mut observed = self.observed.lock();
        let before = observed.scores;
        let mut constant = None;
        // A score that is not finite is an error elsewhere.
        for (answer, score) in answers.iter().zip(scores).filter(|(_, score)| score.is_finite()) {
            observed.scores += 1;
            let (low, high) = observed.range.unwrap_or((*score, *score));
            observed.range = Some((low.min(*score), high.max(*score)));
            constant =
                observed.constant_per_query(query, answer, *score, self.tolerance).or(constant);
        }
        let of_all = match observed.range {
            Some((low, high)) if before < MIN_SCORES && observed.scores >= MIN_SCORES => {
                self.suspect_all(low, high)
            }
            _ => None,
        };
        let suspicions = of_all.into_iter().chain(constant);
        suspicions.filter(|suspicion| observed.is_new(*suspicion)).collect()
    }

    /// The problem of all first scores.
    fn suspect_all(&self, low: f64, high: f64) -> Option<Suspicion> {
        match self.expected {
            ExpectedScores::Any => None,
            ExpectedScores::Raw if high - low <= self.tolerance => Some(Suspicion::Constant),
            ExpectedScores::Raw if low >= 0.0 && high <= 1.0 => Some(Suspicion::Activation),
            ExpectedScores::Raw => None,
            ExpectedScores::Scale(lowest, highest) => {
                let end = SCALE_END * (highest - lowest);
                let is_end = high <= lowest + end || low >= highest - end;
                is_end.then_some(Suspicion::End { lowest: low, highest: high })
            }
        }
    }

    fn suspect_replies(&self, replies: usize, unreadable: usize) -> Option<Suspicion> {
        let mut observed = self.observed.lock();
        observed.replies += replies;
        observed.unreadable += unreadable;
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 replies")]
        let share = observed.unreadable as f64 / observed.replies.max(1) as f64;
        let suspicion = Suspicion::Unreadable { share };
        let is_one = observed.replies >= MIN_SCORES && share >= MAX_UNREADABLE;
        (is_one && observed.is_new(suspicion)).then_some(suspicion)
    }

    fn warn(&self, model: &str, suspicion: Suspicion) {
        let advice = self.advice;
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

impl Observed {
    /// Notes a suspicion. False if one of its kind was reported, or if it follows from one.
    fn is_new(&mut self, suspicion: Suspicion) -> bool {
        let is_constant = matches!(suspicion, Suspicion::ConstantPerQuery { .. });
        let is_known = self.reported.iter().any(|reported| match reported {
            Suspicion::Constant | Suspicion::End { .. } if is_constant => true,
            reported => discriminant(reported) == discriminant(&suspicion),
        });
        if !is_known {
            self.reported.push(suspicion);
        }
        !is_known
    }

    /// Counts queries in a row whose answers all have the same score; a suspicion if there are enough.
    fn constant_per_query(
        &mut self,
        query: &Query,
        answer: &str,
        score: f64,
        tolerance: f64,
    ) -> Option<Suspicion> {
        let (query, answer) = (hash(&query.identity()), hash(answer));
        // Those under way are the newest.
        let Some(known) = self.queries.iter_mut().rev().find(|known| known.query == query) else {
            if self.queries.len() == MAX_REMEMBERED {
                self.queries.pop_front();
            }
            let answers = vec![answer];
            self.queries.push_back(ObservedQuery { query, answers, score, differs: false });
            return None;
        };
        // Scored anew: where scores are relative, it is worth something else now.
        if known.differs || known.answers.contains(&answer) {
            return None;
        }
        if (known.score - score).abs() > tolerance {
            known.differs = true;
            self.constant_in_a_row = 0;
            return None;
        }
        if known.answers.len() >= MIN_ANSWERS {
            return None;
        }
        known.answers.push(answer);
        if known.answers.len() < MIN_ANSWERS {
            return None;
        }
        self.constant_in_a_row += 1;
        let queries = self.constant_in_a_row;
        (queries >= MIN_QUERIES).then_some(Suspicion::ConstantPerQuery { queries })
    }
}

fn hash(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

textgrad_core::debug_by!(ScoreMonitor { expected });
