//! The outcome of a search: the answer, the trajectory as plain data, and events while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use textgrad_core::{Annotations, Graph, Purpose, Usage, Variable};

use super::pairs::Comparison;
use super::pool::{Candidate, Pool, earliest};
use crate::config::StopReason;
use crate::error::Error;
use crate::query::Query;
use crate::session::Session;
use crate::util::is_default;

/// The outcome of a query.
#[derive(Debug, Clone)]
pub struct Alignment {
    pub(super) query: Query,
    pub(super) best: usize,
    pub(super) pool: Pool,
    pub(crate) trajectory: Trajectory,
    /// The ends of the graph, each with its iteration.
    pub(super) ends: Vec<(u32, Variable)>,
    pub(super) model_time: Duration,
}

impl Alignment {
    /// The query.
    #[must_use]
    pub fn query(&self) -> &str {
        self.query.text()
    }

    /// The best answer: that with the highest score of all, whichever iteration it comes from, unless the
    /// [method](super::Method::select) selected another one.
    #[must_use]
    pub fn answer(&self) -> &str {
        self.pool.get(self.best).map(Candidate::text).unwrap_or_default()
    }

    /// Its score.
    #[must_use]
    pub fn score(&self) -> f64 {
        // The best of a pool is a position in it.
        self.pool.get(self.best).map_or(f64::NAN, |candidate| candidate.score)
    }

    /// The position of the best answer among the candidates.
    #[must_use]
    pub fn best(&self) -> usize {
        self.best
    }

    /// All answers, as variables of the graph.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Everything that happened, as plain data.
    #[must_use]
    pub fn trajectory(&self) -> &Trajectory {
        &self.trajectory
    }

    /// The whole search as one graph: samples, losses, gradients, updates, and their dependencies.
    #[must_use]
    pub fn graph(&self) -> Graph {
        Graph::trace_all(self.ends.iter().map(|(_, end)| end))
    }

    /// Lets go of the graph: what is left are the texts and the scores.
    pub(crate) fn forget_graph(&mut self) {
        self.ends.clear();
        self.pool.detach();
    }

    /// What a drawing of the graph shows: answers with their scores, and the iterations.
    #[must_use]
    pub fn annotations(&self) -> Annotations {
        let mut annotations = Annotations::default();
        let iterations = self.ends.iter().map(|(iteration, _)| *iteration).max();
        for iteration in 0..=iterations.unwrap_or_default() {
            let name = match iteration {
                0 => "Iteration 0: first answers".to_owned(),
                later => format!("Iteration {later}"),
            };
            let own = self.ends.iter().filter(|(of, _)| *of == iteration);
            annotations.stage(name, own.map(|(_, end)| end));
        }
        for (position, candidate) in self.pool.candidates().iter().enumerate() {
            let returned = if position == self.best { ", returned" } else { "" };
            annotations.label(&candidate.answer, format!("answer {position}{returned}"));
            annotations.score(&candidate.answer, candidate.score);
        }
        annotations
    }

    /// How long the search waited for calls, with the waits between retries. Calls whose answers
    /// came from a journal count nothing.
    #[must_use]
    pub fn model_time(&self) -> Duration {
        self.model_time
    }
}

/// A search that ended early.
#[derive(Debug, thiserror::Error)]
#[error("the search ended early, {} scored answer(s) are kept: {error}", trajectory.candidates.len())]
pub struct AlignError {
    /// The failure.
    #[source]
    pub error: Error,
    /// The trajectory until then.
    pub trajectory: Trajectory,
}

/// Keeps the error and drops what had been found: for callers that only want to pass it on.
impl From<AlignError> for Error {
    fn from(failure: AlignError) -> Self {
        failure.error
    }
}

/// Everything that happened in the search for one query, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// Every answer with its score, in their order. Positions in [`IterationRecord`] count
    /// from 0 in this list.
    pub candidates: Vec<CandidateRecord>,
    /// The iterations.
    pub iterations: Vec<IterationRecord>,
    /// Prompt and completion tokens up to the end of the first sampling and of each iteration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens_by: Vec<u64>,
    /// Why the search ended before its last iteration, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopReason>,
    /// The position of the answer that the method selected, where that is not the one with the highest score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<usize>,
    /// The part of the scarcest bound of a [budget](crate::SearchBudget) that was left: 0.1 is a tenth of it, below 0
    /// is what was spent beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_left: Option<f64>,
    /// Requests and tokens.
    pub usage: UsageRecord,
}

impl Trajectory {
    /// The answer that is returned: the one that the method selected, or the one with the highest score; of equal
    /// ones, the earliest.
    #[must_use]
    pub fn best(&self) -> Option<&CandidateRecord> {
        self.best_index().and_then(|best| self.candidates.get(best))
    }

    /// The position of the answer that is returned.
    #[must_use]
    pub fn best_index(&self) -> Option<usize> {
        if self.chosen().is_some() {
            return self.selected;
        }
        let scores = self.candidates.iter().map(|candidate| candidate.score);
        earliest(scores, |score, best| score > best)
    }

    /// The answer that the method selected, where that is not the one with the highest score.
    pub(crate) fn chosen(&self) -> Option<&CandidateRecord> {
        self.candidates.get(self.selected?)
    }

    /// The highest score among the answers up to an iteration; 0 is the first sampling.
    #[must_use]
    pub fn best_score_by(&self, iteration: u32) -> Option<f64> {
        let scores = self.candidates.iter().filter(|c| c.iteration <= iteration).map(|c| c.score);
        scores.reduce(f64::max)
    }
}

/// An answer with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateRecord {
    /// The iteration that it comes from; 0 is the first sampling.
    pub iteration: u32,
    /// The answer.
    pub text: String,
    /// The score of the reward model.
    pub score: f64,
    /// Whether it was truncated at the longest length of an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// The record of an answer.
pub(super) fn record(candidate: &Candidate, session: &Session) -> CandidateRecord {
    CandidateRecord {
        iteration: candidate.iteration,
        text: candidate.text().to_owned(),
        score: candidate.score,
        truncated: session.is_truncated(candidate.text()),
    }
}

/// One comparison of an iteration and its outcome. Texts are missing where the iteration ended before
/// them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IterationRecord {
    /// Its number, from 1.
    pub iteration: u32,
    /// The position of the answer that was rewritten.
    pub chosen: usize,
    /// The positions of the answers that it was compared with; none where there is none to compare with.
    pub rejected: Vec<usize>,
    /// How much each of these comparisons weighed; none where all weighed the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f64>,
    /// The critic's responses, once for each rejected answer or once without any: the textual losses. Where one
    /// could not be had, the iteration ended there, and the others stand here.
    pub losses: Vec<String>,
    /// What is to be changed: the textual gradient.
    pub gradient: Option<String>,
    /// The index of the query that losses and gradient are about, if it is another one: see
    /// [`Mode::Shuffled`](crate::Mode::Shuffled).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critique_of: Option<usize>,
    /// The number of new versions.
    pub updates: usize,
    /// Why answers of the optimizer could not be used, one entry each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unusable: Vec<String>,
}

impl IterationRecord {
    /// What was compared.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let (rejected, weights) = (self.rejected.clone(), self.weights.clone());
        Comparison { chosen: self.chosen, rejected, weights }
    }
}

/// Requests and tokens, in all and by purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Requests to language models that were answered.
    pub requests: u64,
    /// Prompt and completion tokens.
    pub tokens: Usage,
    /// The same by purpose.
    pub by_purpose: BTreeMap<Purpose, PurposeUsage>,
    /// Answers that the reward model scored; identical ones are scored once.
    pub scored: u64,
    /// Answers that were left out because they are too long for the reward model.
    #[serde(default, skip_serializing_if = "is_default")]
    pub too_long: u64,
}

impl UsageRecord {
    pub(crate) fn add_call(&mut self, purpose: Purpose, tokens: Usage) {
        self.requests += 1;
        self.tokens += tokens;
        let entry = self.by_purpose.entry(purpose).or_default();
        entry.requests += 1;
        entry.tokens += tokens;
    }

    /// Adds what something else took.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.scored += other.scored;
        self.too_long += other.too_long;
        for (purpose, usage) in &other.by_purpose {
            let entry = self.by_purpose.entry(*purpose).or_default();
            entry.requests += usage.requests;
            entry.tokens += usage.tokens;
        }
    }
}

/// Requests and tokens for one purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurposeUsage {
    /// Requests that were answered.
    pub requests: u64,
    /// Prompt and completion tokens.
    pub tokens: Usage,
}

/// An answer that a search has scored and put into its pool.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SearchEvent<'a> {
    /// The index of the query.
    pub query: usize,
    /// The iteration that it comes from; 0 is the first sampling.
    pub iteration: u32,
    /// Its position among the candidates, from 0.
    pub candidate: usize,
    /// Its text.
    pub text: &'a str,
    /// Its score.
    pub score: f64,
    /// The position of the best answer so far; of equal ones, the earliest.
    pub best: usize,
    /// The score of that answer.
    pub best_score: f64,
}

/// Receives the events of searches, in the order of each search. It is called within the search: it must not block.
#[derive(Clone)]
pub(crate) struct SearchObserver(Arc<dyn Fn(&SearchEvent<'_>) + Send + Sync>);

impl SearchObserver {
    pub(crate) fn new(observer: impl Fn(&SearchEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }

    pub(crate) fn scored(&self, event: &SearchEvent<'_>) {
        (self.0)(event);
    }
}

textgrad_core::debug_by!(SearchObserver {});

/// The event of the newest answer of a pool.
pub(crate) fn newest(query: usize, pool: &Pool) -> Option<SearchEvent<'_>> {
    let candidate = pool.candidates().len().checked_sub(1)?;
    let (newest, best) = (pool.get(candidate)?, pool.best()?);
    Some(SearchEvent {
        query,
        iteration: newest.iteration,
        candidate,
        text: newest.text(),
        score: newest.score,
        best,
        best_score: pool.get(best)?.score,
    })
}
