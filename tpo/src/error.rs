//! Errors of this crate.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use textgrad_core::{EngineError, Error as CoreError, PromptError};
use textgrad_ops::util::fs::BlockingError;

/// What can go wrong with a search or a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Settings and input.
    /// A setting is out of range.
    #[error("{setting}: expected {expected}, got {got}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it was.
        got: String,
    },
    /// An engine, a reward model or a cache cannot be set up.
    #[error("the {what} cannot be set up")]
    Setup {
        /// Which of them.
        what: &'static str,
        /// What was expected and what came.
        source: EngineError,
    },
    /// A server does not answer the request that is sent to it before a run.
    #[error("the {server} does not answer; nothing was run (--no-preflight skips this check)")]
    Preflight {
        /// The part that it plays, and its name.
        server: String,
        /// What was expected and what was received.
        source: EngineError,
    },
    /// The run ended since a server failed every request.
    #[error("the run ended early, since a server fails each request")]
    ServerFails {
        /// The last failure.
        source: EngineError,
    },
    /// A prompt pack is not usable.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A file holds no tokenizer.
    #[error("{name}: expected a tokenizer.json, as Hugging Face's tokenizers are saved")]
    Tokenizer {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The queries cannot be read.
    #[error("{source_name}: {reason}")]
    Input {
        /// The file, with the line where that is known.
        source_name: String,
        /// What was expected and what came.
        reason: String,
    },

    // One query.
    /// What is asked is no query.
    #[error("expected {expected}, got {got}")]
    Query {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
    /// An op or an engine failed.
    #[error(transparent)]
    Core(#[from] textgrad_core::Error),
    /// The optimizer failed.
    #[error(transparent)]
    Ops(#[from] textgrad_ops::Error),
    /// The reward model failed.
    #[error("reward model {model:?} could not score the answer {answer:?}")]
    Reward {
        /// The reward model.
        model: String,
        /// The beginning of the answer; of several that were scored together, the first.
        answer: String,
        /// What went wrong.
        source: EngineError,
    },
    /// A score is not a finite number.
    #[error("expected a finite score, got {got} for the answer {answer:?}")]
    Score {
        /// The beginning of the answer.
        answer: String,
        /// The score.
        got: f64,
    },
    /// The reward model gave another number of scores than it was given answers.
    #[error("expected {expected} score(s) of the reward model, one per answer, got {got}")]
    ScoreCount {
        /// How many answers there were.
        expected: usize,
        /// How many scores came.
        got: usize,
    },
    /// A part of the search that is not of this crate broke a rule of its trait.
    #[error("the {part} {name:?} in iteration {iteration}: expected {expected}, got {got}")]
    Part {
        /// What kind of part: its trait, in words.
        part: &'static str,
        /// Its name.
        name: String,
        /// The number of the iteration, from 1.
        iteration: u32,
        /// What was expected.
        expected: String,
        /// What it did.
        got: String,
    },
    /// The policy gave no answer, or a method has none to begin with.
    #[error("there is no answer to the query")]
    NoAnswer,
    /// An engine or the reward model panicked.
    #[error("the search of this query panicked: {message}")]
    Panic {
        /// What it said.
        message: String,
    },
    /// The run was asked to stop before this query was done.
    #[error("stopped before the query was done")]
    Stopped,

    // Runs.
    /// A file cannot be read or written.
    #[error("{}: {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What could not be done.
        action: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The folder of a run holds one already.
    #[error("{} holds a run already; continue it with --resume, or choose another folder with --out", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to resume.
    #[error("{} holds no run to resume (no journal.jsonl); leave out --resume to start one", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// There is no study to resume.
    #[error("{} holds no study to resume (no study.json); leave out --resume to start one", path.display())]
    NoStudy {
        /// The folder.
        path: PathBuf,
    },
    /// There is no run to read.
    #[error("{} holds no run (no config.json); expected the directory of a run, {}", path.display(), example(runs))]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The runs in it.
        runs: Vec<PathBuf>,
    },
    /// A run has no results yet.
    #[error("{} has no results.jsonl: the run goes on, or was killed; tpo run --resume finishes it", path.display())]
    NoResults {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes to the folder.
    #[error("{} is in use by another process", path.display())]
    RunLocked {
        /// The folder.
        path: PathBuf,
    },
    /// A run that is to be resumed or read was made with other settings.
    #[error("{} was run with other settings: {}{}", path.display(), differences.join("; "), extension(differences))]
    RunDiffers {
        /// The folder.
        path: PathBuf,
        /// What differs, each as `setting: then, now`.
        differences: Vec<String>,
    },
    /// A journal is damaged in the middle.
    #[error("{}, line {line}: not a journal record: {reason}", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file of a run holds what is no record.
    #[error("{}, line {line}: not a record of a run: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The results of a run do not have a query.
    #[error("{} has no result for query {index}: {}", path.display(), results(*index, *queries, *found))]
    NoResult {
        /// The folder.
        path: PathBuf,
        /// The index of the query, from 0.
        index: usize,
        /// The number of queries of the run.
        queries: usize,
        /// The index behind that of the last result.
        found: usize,
    },
    /// A query cannot be searched from the journal alone.
    #[error(
        "the journal of {} lacks {step} of query {index}{}",
        path.display(),
        ended.as_ref().map(|why| format!("; its search ended with an error: {why}")).unwrap_or_default()
    )]
    NotRecorded {
        /// The folder.
        path: PathBuf,
        /// The place of the query, from 0.
        index: usize,
        /// The step that is not there.
        step: String,
        /// Why the search had ended early, if it had.
        ended: Option<String>,
    },
    /// Two runs cannot be compared.
    #[error("{} and {} cannot be compared: {reason}", a.display(), b.display())]
    NotComparable {
        /// The one folder.
        a: PathBuf,
        /// The other folder.
        b: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Parts of a run cannot be made one run.
    #[error("{} cannot be merged: {reason}", path.display())]
    Merge {
        /// The folder of a part, or of the whole where the parts together are wrong.
        path: PathBuf,
        /// What was expected, and what is there.
        reason: String,
    },
    /// The queue between a coordinator and its workers cannot be used.
    #[error("the queue {name}: {reason}")]
    Queue {
        /// Its address, without a password.
        name: String,
        /// What was expected, and what is there.
        reason: String,
        /// What the server or the network said, if it did.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A journal could not be written, so the run cannot go on.
    #[error(
        "the journal could not be written: {reason}; what was written before is kept, and --resume continues from there"
    )]
    JournalWrite {
        /// Why.
        reason: String,
    },
}

/// The results that a run has, and how to get that of another query.
fn results(index: usize, queries: usize, found: usize) -> String {
    let there = match found {
        0 => "there are none".to_owned(),
        found if index < found => "its search is not finished".to_owned(),
        found => format!("expected an index from 0 to {}", found - 1),
    };
    let advice = match index < queries {
        true => "the run is not finished, tpo run --resume finishes it",
        false => "tpo run --extend adds queries behind them",
    };
    format!("{there}; {advice}")
}

/// What to do where a run may be meant to be extended.
fn example(runs: &[PathBuf]) -> String {
    match runs.first() {
        Some(run) => format!("such as {}", run.display()),
        None => "as tpo run prints it, or --out names it".to_owned(),
    }
}

fn extension(differences: &[String]) -> &'static str {
    let extends = |difference: &String| {
        difference.starts_with("search.iterations: ") || difference == "the queries"
    };
    match differences.iter().any(extends) {
        true => {
            "; --extend takes more iterations, and more queries behind the first ones, and nothing else"
        }
        false => "",
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::Core(error.into())
    }
}

impl From<BlockingError> for Error {
    fn from(error: BlockingError) -> Self {
        Self::Panic { message: error.to_string() }
    }
}

impl Error {
    /// The error of a setting.
    pub fn config(setting: &'static str, expected: &'static str, got: impl Into<String>) -> Self {
        Self::Config { setting, expected, got: got.into() }
    }

    /// The error of what cannot be written into a journal or beside it.
    pub(crate) fn journal_write(error: impl Display) -> Self {
        Self::JournalWrite { reason: error.to_string() }
    }

    /// The error of input that cannot be used: where it is, and why.
    pub fn input(source_name: impl Display, reason: impl Into<String>) -> Self {
        Self::Input { source_name: source_name.to_string(), reason: reason.into() }
    }

    /// What becomes of a failure at a file or a folder: `Error::io(path, "cannot be written")`.
    pub fn io(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), action, source }
    }

    /// The engine's or the reward model's error, if one is at the bottom of this.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineError> {
        match self {
            Self::Core(error) => error.engine(),
            Self::Ops(error) => error.engine(),
            Self::Reward { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the same thing may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.engine().is_some_and(EngineError::is_retryable)
    }

    /// A short name of the class, for files and reports.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if let Some(engine) = self.engine() {
            return engine.kind().as_str();
        }
        let is_panic = |error: &CoreError| matches!(error, CoreError::Panic { .. });
        match self {
            Self::Core(error) | Self::Ops(textgrad_ops::Error::Core(error)) if is_panic(error) => {
                "panic"
            }
            Self::Config { .. } | Self::Setup { .. } | Self::Tokenizer { .. } => "config",
            Self::Prompt(_) => "prompt",
            Self::Input { .. } => "input",
            Self::Core(_) | Self::Ops(_) => "op",
            Self::Reward { .. } | Self::Score { .. } | Self::ScoreCount { .. } => "reward",
            Self::Part { .. } => "part",
            Self::NoAnswer => "no_answer",
            Self::Panic { .. } => "panic",
            Self::Stopped => "stopped",
            _ => "run",
        }
    }
}
