//! Errors of this crate.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;

use textgrad_core::{EngineError, Score, truncate};

use crate::optim::Rejected;

/// What can go wrong with an optimizer, a loss or a check, a data set or a training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An op, an engine, a prompt or an assignment failed.
    #[error(transparent)]
    Core(textgrad_core::Error),

    /// Tags that cannot delimit a text.
    #[error(
        "expected two different tags of one line each, neither inside the other, got {start:?} and {end:?}"
    )]
    Tags {
        /// The first.
        start: String,
        /// The second.
        end: String,
    },
    /// None of the parameters has any feedback.
    #[error("expected feedback on at least one parameter, but none has any ({}); run a backward pass from an objective that depends on them, after their last assignment", roles.iter().map(|role| truncate(role, 40)).collect::<Vec<_>>().join("; "))]
    NoFeedback {
        /// The parameters' roles.
        roles: Vec<String>,
    },
    /// There is no parameter to propose a text for.
    #[error("expected at least one parameter that is not frozen, got {}", match frozen { 0 => "none".to_owned(), _ => format!("{frozen} frozen and no other") })]
    NoParameters {
        /// How many frozen ones were given.
        frozen: usize,
    },
    /// A parameter has nothing to do with the objective.
    #[error(
        "expected the objective to depend on the parameter (role: {}), but its present text is not in the graph: build the graph from its variable() after its last assignment, or leave it out",
        truncate(role, 80)
    )]
    NotInGraph {
        /// The parameter's role.
        role: String,
    },
    /// No answer held a usable new text.
    #[error(
        "no usable new text for the variable (role: {}) in {requests} request(s); the last answer: {problem}",
        truncate(role, 80)
    )]
    NoUpdate {
        /// The variable's role.
        role: String,
        /// How many requests were made.
        requests: usize,
        /// What was wrong with the last answer.
        problem: String,
    },
    /// Every new text broke a rule that is checked, however often it was asked again. The parameter keeps its
    /// text.
    #[error(
        "every new text for the parameter (role: {}) breaks a rule, in {requests} request(s), so it keeps its text; the last answer: {}",
        truncate(role, 80),
        rejected.last().map(|last| truncate(&last.problem, 200)).unwrap_or_default()
    )]
    Violations {
        /// The parameter's role.
        role: String,
        /// How many requests were made, at most.
        requests: usize,
        /// The answers, each with what was wrong.
        rejected: Vec<Rejected>,
    },
    /// A proposal has no candidate left for a parameter, so none was assigned.
    #[error(
        "no candidate is left for the parameter (role: {}), so none was assigned",
        truncate(role, 80)
    )]
    NoCandidate {
        /// The parameter's role.
        role: String,
    },
    /// A candidate could not be scored.
    #[error("{} could not be scored", tried(*candidate))]
    Scoring {
        /// Which candidate, from 0; `None` for the texts that there are.
        candidate: Option<usize>,
        /// What the scorer said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A score that cannot be compared.
    #[error("expected a finite score for {}, got {score}", tried(*candidate))]
    NotFinite {
        /// Which candidate, from 0; `None` for the texts that there are.
        candidate: Option<usize>,
        /// The score.
        score: Score,
    },
    /// What was given as an optimizer's memory is none.
    #[error("expected the state of an optimizer ({expected}), got {}", truncate(got, 80))]
    State {
        /// What it should be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// Settings that no program can be run with.
    #[error("expected {expected}, got {got}")]
    Runner {
        /// What it should be.
        expected: String,
        /// What was given.
        got: String,
    },
    /// A program that could not be run.
    #[error(
        "the program {program:?} could not be run; see that it is installed and may be executed"
    )]
    Command {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Fields that an evaluation cannot have.
    #[error(
        "expected each field of the evaluation once, under distinct names that are not empty, `instruction` or `system`, got {got:?}"
    )]
    Fields {
        /// The names that were given.
        got: Vec<String>,
    },
    /// A score that nothing can be ranked by.
    #[error("expected a finite score for answer {answer}, got {score}")]
    Score {
        /// Which answer, from 1, in the order in which they were given.
        answer: usize,
        /// What was given.
        score: f64,
    },
    /// A composition or a comparison of nothing.
    #[error("expected at least one part for {what}, got none")]
    NoParts {
        /// What was to be made.
        what: &'static str,
    },
    /// A weight that is none.
    #[error("expected a finite weight above 0 for part {part} of a weighted sum, got {weight}")]
    Weight {
        /// Which part, from 1.
        part: usize,
        /// What was given.
        weight: f64,
    },
    /// A regular expression that does not compile.
    #[error("expected a regular expression, got {:?}", truncate(pattern, 80))]
    Pattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
    /// Bounds on a length that nothing is within.
    #[error("expected bounds that some length is within, got {start} to {end}")]
    LengthBounds {
        /// The lower bound.
        start: String,
        /// The upper bound.
        end: String,
    },
    /// A JSON schema that does not compile.
    #[cfg(feature = "json-schema")]
    #[error("expected a JSON schema, but at {location}: {problem}")]
    Schema {
        /// The location in the schema, as a JSON pointer.
        location: String,
        /// What is wrong there.
        problem: String,
    },
    /// Some parameters have no new text, so none was assigned.
    #[error("{failed} of {total} parameters have no new text, so none was assigned")]
    Incomplete {
        /// How many have none.
        failed: usize,
        /// How many there are.
        total: usize,
        /// Why the first of them has none.
        source: Arc<Error>,
    },

    // Data sets.
    /// A data set cannot be read or used.
    #[error("{location}: {reason}{}", if *bad > 1 { format!(" ({bad} such errors in all; the first is named)") } else { String::new() })]
    Data {
        /// The file or data set, with the line or the index in the list where that is known.
        location: String,
        /// What was expected and what came.
        reason: String,
        /// The number of wrong records.
        bad: usize,
    },
    /// A file cannot be read or written.
    #[error("{} {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Work on files ended before it was done: it panicked, or the runtime is shutting down.
    #[error("blocking work ended early")]
    Blocking {
        /// Why.
        #[from]
        source: crate::util::fs::BlockingError,
    },

    // Training.
    /// A setting of an optimizer or of a training is out of range.
    #[error("{setting}: expected {expected}, got {got}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it was.
        got: String,
    },
    /// Not one example could be worked on.
    #[error("{what} failed for each of the {examples} example(s)")]
    AllFailed {
        /// What was tried.
        what: &'static str,
        /// How many examples there are.
        examples: usize,
        /// Why the first of them failed.
        source: Arc<textgrad_core::Error>,
    },
    /// No step of the first epoch had feedback on a parameter, although a prediction was not right.
    #[error(
        "expected the loss to give feedback, but no step of the first epoch ({steps}) had any on a parameter, although {wrong} example(s) were not right; give a ScoreLoss a feedback_engine, or its verdicts feedback"
    )]
    SilentLoss {
        /// How many steps the epoch has.
        steps: usize,
        /// How many examples scored less than 1.
        wrong: usize,
    },
    /// Engines failed on some examples of a set, so it has no score: what is measured in part is not compared.
    #[error(
        "the {set} set could not be measured: an engine failed on {failed} of {examples} example(s), which says nothing about the texts; the training can be resumed from its folder, if it has one"
    )]
    Unmeasured {
        /// Which set: `validation` or `test`.
        set: &'static str,
        /// How many examples are without a score.
        failed: usize,
        /// How many examples there are.
        examples: usize,
        /// Why the first of them is.
        source: Arc<textgrad_core::Error>,
    },
    /// The folder holds a run already.
    #[error("{} already holds a run; resume it, or choose another folder", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to resume.
    #[error("{} holds no run to resume (no history.jsonl)", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes to the folder.
    #[error("{} is in use by another process", path.display())]
    RunLocked {
        /// The folder.
        path: PathBuf,
    },
    /// The run that is to be resumed was made with other settings.
    #[error("{} was run with other settings, so it cannot be resumed: {}", path.display(), differences.join("; "))]
    RunDiffers {
        /// The folder.
        path: PathBuf,
        /// What differs, each as `setting: then, now`.
        differences: Vec<String>,
    },
    /// A file of a run is damaged.
    #[error("{} is damaged: {reason}", path.display())]
    RunDamaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
}

/// What was to be scored, in words.
fn tried(candidate: Option<usize>) -> String {
    candidate.map_or_else(
        || "the texts that there are".to_owned(),
        |position| format!("candidate {position}"),
    )
}

/// Of a backward pass, keeps why it ended and drops the gradients; see
/// [`BackwardError::gradients`](textgrad_core::BackwardError::gradients).
impl<E: Into<textgrad_core::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Core(error.into())
    }
}

impl Error {
    /// The engine's error, if one is at the bottom of this.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineError> {
        match self {
            Self::Core(error) => error.engine(),
            Self::Incomplete { source, .. } => source.engine(),
            Self::AllFailed { source, .. } | Self::Unmeasured { source, .. } => source.engine(),
            _ => None,
        }
    }

    /// Whether the same thing may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.engine().is_some_and(EngineError::is_retryable)
    }
}
