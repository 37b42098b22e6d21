//! Whether scores look as if something were wrong with a reward model.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::query::Query;

/// How many scores, or replies, are looked at before anything is said of all of them.
const ENOUGH: usize = 20;

/// What part of a scale is its end.
const END: f64 = 0.1;

/// What part of a judge's replies may be unreadable.
const UNREADABLE: f64 = 0.25;

/// What is known of a reward model's scores, and what to look at if they are not like that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    scores: Scores,
    /// Scores that differ by no more are the same.
    grain: f64,
    /// What to look at if scores do not tell answers apart.
    advice: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Scores {
    Any,
    /// Of a model of real numbers, without an activation behind them.
    Raw,
    /// Of a scale, from the lowest to the highest.
    Scale(f64, f64),
}

impl Expected {
    /// Any numbers.
    pub(super) fn any(advice: &'static str) -> Self {
        Self { scores: Scores::Any, grain: 0.0, advice }
    }

    /// Real numbers of a model, so that no two are the same by chance and some are outside of 0 to 1.
    pub(super) fn raw(advice: &'static str) -> Self {
        Self { scores: Scores::Raw, ..Self::any(advice) }
    }

    /// Numbers of a scale.
    pub(super) fn scale(lowest: f64, highest: f64, advice: &'static str) -> Self {
        Self { scores: Scores::Scale(lowest, highest), ..Self::any(advice) }
    }

    /// Scores that differ by no more than this are the same.
    pub(super) fn grain(self, grain: f64) -> Self {
        Self { grain, ..self }
    }
}

/// Watches a reward model and warns once for each kind of thing that looks wrong. Clones watch together: those
/// that searches make of a model are one model.
#[derive(Clone)]
pub(super) struct Sanity {
    expected: Expected,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    seen: usize,
    /// The lowest and the highest score so far.
    range: Option<(f64, f64)>,
    alike: Alike,
    replies: usize,
    unreadable: usize,
    told: Vec<Suspicion>,
}

/// What looks wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Suspicion {
    /// All scores lie between 0 and 1.
    Activation,
    /// All scores are the same.
    Constant,
    /// All scores are at this end of their scale.
    End { lowest: f64, highest: f64 },
    /// Answers to one query have the same score, in so many queries in a row.
    Alike { queries: usize },
    /// So much of the replies cannot be read.
    Unreadable { share: f64 },
}

impl Sanity {
    pub(super) fn new(expected: Expected) -> Self {
        Self { expected, state: Arc::default() }
    }

    /// Looks at the scores of answers to a query.
    pub(super) fn look_at(&self, model: &str, query: &Query, answers: &[&str], scores: &[f64]) {
        for suspicion in self.suspect(query, answers, scores) {
            self.tell(model, suspicion);
        }
    }

    /// Looks at how many of some replies could not be read.
    pub(super) fn look_at_replies(&self, model: &str, replies: usize, unreadable: usize) {
        if let Some(suspicion) = self.suspect_replies(replies, unreadable) {
            self.tell(model, suspicion);
        }
    }

    fn suspect(&self, query: &Query, answers: &[&str], scores: &[f64]) -> Vec<Suspicion> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.seen;
        let mut alike = None;
        // What is not a number is an error, and told as such.
        for (answer, score) in answers.iter().zip(scores).filter(|(_, score)| score.is_finite()) {
            state.seen += 1;
            let (low, high) = state.range.unwrap_or((*score, *score));
            state.range = Some((low.min(*score), high.max(*score)));
            alike = state.alike.look_at(query, answer, *score, self.expected.grain).or(alike);
        }
        let of_all = match state.range {
            Some((low, high)) if before < ENOUGH && state.seen >= ENOUGH => {
                self.expected.suspect_all(low, high)
            }
            _ => None,
        };
        let alike = alike.map(|queries| Suspicion::Alike { queries });
        let mut found = Vec::new();
        for suspicion in of_all.into_iter().chain(alike) {
            found.extend(state.tell(suspicion).then_some(suspicion));
        }
        found
    }

    fn suspect_replies(&self, replies: usize, unreadable: usize) -> Option<Suspicion> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.replies += replies;
        state.unreadable += unreadable;
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 replies")]
        let share = state.unreadable as f64 / state.replies.max(1) as f64;
        let suspicion = Suspicion::Unreadable { share };
        let is_one = state.replies >= ENOUGH && share >= UNREADABLE;
        (is_one && state.tell(suspicion)).then_some(suspicion)
    }

    fn tell(&self, model: &str, suspicion: Suspicion) {
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
            Suspicion::Alike { queries } => tracing::warn!(
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

impl Expected {
    /// What looks wrong about all of the first scores.
    fn suspect_all(&self, low: f64, high: f64) -> Option<Suspicion> {
        match self.scores {
            Scores::Any => None,
            Scores::Raw if high - low <= self.grain => Some(Suspicion::Constant),
            Scores::Raw if low >= 0.0 && high <= 1.0 => Some(Suspicion::Activation),
            Scores::Raw => None,
            Scores::Scale(lowest, highest) => {
                let end = END * (highest - lowest);
                let is_end = high <= lowest + end || low >= highest - end;
                is_end.then_some(Suspicion::End { lowest: low, highest: high })
            }
        }
    }
}

impl State {
    /// Whether this is to be told: once for its kind, and nothing that follows from what was told.
    fn tell(&mut self, suspicion: Suspicion) -> bool {
        let follows = |told: &Suspicion| match (told, &suspicion) {
            (Suspicion::Constant | Suspicion::End { .. }, Suspicion::Alike { .. }) => true,
            (told, suspicion) => std::mem::discriminant(told) == std::mem::discriminant(suspicion),
        };
        let is_new = !self.told.iter().any(follows);
        if is_new {
            self.told.push(suspicion);
        }
        is_new
    }
}

impl fmt::Debug for Sanity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sanity").field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// How many different answers to a query must have the same score for the query to count.
const ANSWERS: usize = 3;

/// How many such queries in a row are told of.
const QUERIES: usize = 20;

/// How many queries are remembered: more than a run has under way at the same time.
const REMEMBERED: usize = 1024;

/// Counts queries in a row whose answers all have the same score, whatever it is.
#[derive(Debug, Default)]
pub(super) struct Alike {
    queries: VecDeque<Seen>,
    in_a_row: usize,
}

/// What was seen of a query; texts by their hashes.
#[derive(Debug)]
struct Seen {
    query: u64,
    answers: Vec<u64>,
    score: f64,
    /// Whether another score was seen too.
    differs: bool,
}

impl Alike {
    /// How many there are in a row, if there are enough.
    pub(super) fn look_at(
        &mut self,
        query: &Query,
        answer: &str,
        score: f64,
        grain: f64,
    ) -> Option<usize> {
        let (query, answer) = (hash(&query.identity()), hash(answer));
        // Those under way are the newest.
        let Some(seen) = self.queries.iter_mut().rev().find(|seen| seen.query == query) else {
            if self.queries.len() == REMEMBERED {
                self.queries.pop_front();
            }
            self.queries.push_back(Seen { query, answers: vec![answer], score, differs: false });
            return None;
        };
        // Scored anew: where scores are relative, it is worth something else now.
        if seen.differs || seen.answers.contains(&answer) {
            return None;
        }
        if (seen.score - score).abs() > grain {
            seen.differs = true;
            self.in_a_row = 0;
            return None;
        }
        if seen.answers.len() >= ANSWERS {
            return None;
        }
        seen.answers.push(answer);
        if seen.answers.len() < ANSWERS {
            return None;
        }
        self.in_a_row += 1;
        (self.in_a_row >= QUERIES).then_some(self.in_a_row)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
