//! Records of a training.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use textgrad_core::{StateDict, Usage, describe};

use crate::error::Error;

/// How good some texts are on a set of examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The mean score of all examples; those that failed have the score that the training gives a failure.
    pub score: f64,
    /// How many examples there are.
    pub examples: usize,
    /// How many of them failed.
    pub failed: usize,
}

/// What a part of a training took. Nothing else in a history depends on the clock or on prices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Wall time in seconds.
    pub seconds: f64,
    /// Requests, if the training was given a meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens, if the training was given a meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What was measured before the first step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The texts.
    pub parameters: StateDict,
    /// On the validation set.
    pub validation: Option<Evaluation>,
    /// On the test set, if each step is tested.
    pub test: Option<Evaluation>,
    /// What it took.
    pub cost: Cost,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// New texts were kept.
    Accepted,
    /// New texts were not good enough, so the old ones are back.
    Reverted,
    /// There was nothing to change.
    Unchanged,
    /// No new texts could be had.
    Failed,
}

/// One example of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExampleRecord {
    /// Its id.
    pub id: String,
    /// Its score, if the evaluator or the loss gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// What the loss said; nothing if it was not asked, because the example was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 1.
    pub step: usize,
    /// The epoch, from 1.
    pub epoch: usize,
    /// The minibatch of the epoch, from 1.
    pub batch: usize,
    /// The examples, in their order.
    pub examples: Vec<ExampleRecord>,
    /// The numbers of the members of the [population](super::Population) that the texts came from, if they are a new
    /// member; the first texts are number 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<usize>,
    /// What became of it.
    pub outcome: StepOutcome,
    /// Why, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The new texts by the names of their parameters, kept or not.
    pub proposed: BTreeMap<String, String>,
    /// What the new texts scored on the validation set.
    pub validation: Option<Evaluation>,
    /// What the kept texts scored on the test set, if each step is tested.
    pub test: Option<Evaluation>,
    /// The validation score of the texts that hold after the step.
    pub score: Option<f64>,
    /// The texts that hold after the step.
    pub parameters: StateDict,
    /// What it took.
    pub cost: Cost,
}

/// A line of `history.jsonl`: the first is the baseline, each other one a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum HistoryRecord {
    /// Before the first step.
    Baseline(Baseline),
    /// A step.
    Step(Box<StepRecord>),
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// All steps were made.
    Completed,
    /// The validation score had not risen for as many steps as patience lasts.
    Patience,
    /// The validation score reached the target.
    Target,
    /// An engine's budget was used up. The step that was under way is as if it had not begun.
    Budget,
    /// It was asked to stop.
    Stopped,
}

/// What came of a training. The program holds the best texts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Training {
    /// The best texts: those with the highest validation score, the latest of equals; without a validation
    /// set the last.
    pub best: StateDict,
    /// The step that they come from; 0 if they are the first ones.
    pub best_step: usize,
    /// Their validation score.
    pub score: Option<f64>,
    /// How good they are on the test set; none if there is no such set, or the training ended by its budget
    /// or because it was asked to stop.
    pub test: Option<Evaluation>,
    /// Before the first step; none if the training ended before that was measured.
    pub baseline: Option<Baseline>,
    /// The steps, those before a resumption among them.
    pub steps: Vec<StepRecord>,
    /// Why it ended; none if it failed.
    pub ended: Option<EndReason>,
}

impl Training {
    /// The validation score of the texts that held after each step, beginning with step 0.
    #[must_use]
    pub fn curve(&self) -> Vec<(usize, f64)> {
        let first = self.baseline.as_ref().and_then(|baseline| baseline.validation);
        let first = first.map(|evaluation| (0, evaluation.score));
        let steps = self.steps.iter().filter_map(|step| Some((step.step, step.score?)));
        first.into_iter().chain(steps).collect()
    }
}

/// A training that failed: why, and what it had by then. `Display` has the causes; `Debug` shows the number of steps.
#[derive(thiserror::Error)]
#[error("the training {}: {}", progress(.so_far.as_deref()), describe(.error))]
pub struct TrainFailure {
    /// What went wrong.
    #[source]
    pub error: Error,
    /// What there was by then; none if the training had not begun. The program holds the best texts.
    pub so_far: Option<Box<Training>>,
}

impl fmt::Debug for TrainFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.so_far.as_ref().map(|so_far| so_far.steps.len());
        let mut shown = f.debug_struct("TrainFailure");
        shown.field("error", &self.error).field("steps", &steps).finish_non_exhaustive()
    }
}

fn progress(so_far: Option<&Training>) -> String {
    match so_far {
        None => "could not begin".to_owned(),
        Some(training) => format!("failed after {} step(s)", training.steps.len()),
    }
}

/// Keeps why the training failed and drops what it had; see [`TrainFailure::so_far`].
impl From<TrainFailure> for Error {
    fn from(failure: TrainFailure) -> Self {
        failure.error
    }
}
