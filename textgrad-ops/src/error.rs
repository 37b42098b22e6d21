//! What can go wrong in this crate.

use std::path::PathBuf;
use std::sync::Arc;

use textgrad_core::{BackwardError, EngineError, PromptError, excerpt};

/// What can go wrong with an optimizer, a data set or a training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An op, an engine, a prompt or an assignment failed.
    #[error(transparent)]
    Core(#[from] textgrad_core::Error),

    /// Tags that can not delimit a text.
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
    #[error("expected feedback on at least one parameter, but none has any ({}); run a backward pass from an objective that depends on them, after their last assignment", roles.iter().map(|role| excerpt(role, 40)).collect::<Vec<_>>().join("; "))]
    NoFeedback {
        /// The parameters' roles.
        roles: Vec<String>,
    },
    /// No answer held a usable new text.
    #[error(
        "no usable new text for the variable (role: {}) in {requests} request(s); the last answer: {problem}",
        excerpt(role, 80)
    )]
    NoUpdate {
        /// The variable's role.
        role: String,
        /// How many requests were made.
        requests: usize,
        /// What was wrong with the last answer.
        problem: String,
    },
    /// A proposal has no candidate left for a parameter, so none was assigned.
    #[error(
        "no candidate is left for the parameter (role: {}), so none was assigned",
        excerpt(role, 80)
    )]
    NoCandidate {
        /// The parameter's role.
        role: String,
    },
    /// What was given as an optimizer's memory is none.
    #[error("expected the state of an optimizer ({expected}), got {}", excerpt(got, 80))]
    State {
        /// What it should be.
        expected: String,
        /// What it is.
        got: String,
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
    /// A data set can not be read or used.
    #[error("{place}: {reason}{}", if *bad > 1 { format!(" ({bad} such places in all; the first is named)") } else { String::new() })]
    Data {
        /// The file or data set, with the line or the place in the list where that is known.
        place: String,
        /// What was expected and what came.
        reason: String,
        /// How many places are wrong.
        bad: usize,
    },
    /// A file can not be read or written.
    #[error("{} {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },

    // Training.
    /// A setting is out of range.
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
    #[error("{} was run with other settings, so it can not be resumed: {}", path.display(), differences.join("; "))]
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

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::Core(error.into())
    }
}

impl From<PromptError> for Error {
    fn from(error: PromptError) -> Self {
        Self::Core(error.into())
    }
}

/// Keeps why the pass ended and drops the gradients that it had found; see [`BackwardError::gradients`].
impl From<BackwardError> for Error {
    fn from(failure: BackwardError) -> Self {
        Self::Core(failure.into())
    }
}

impl Error {
    /// The engine's error, if one is at the bottom of this.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineError> {
        match self {
            Self::Core(error) => error.engine(),
            Self::Incomplete { source, .. } => source.engine(),
            Self::AllFailed { source, .. } => source.engine(),
            _ => None,
        }
    }

    /// Whether the same thing may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.engine().is_some_and(EngineError::is_retryable)
    }
}

/// An error with all its causes on one line.
#[must_use]
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // A transparent error repeats what it wraps.
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
