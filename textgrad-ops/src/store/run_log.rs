//! Reading of run logs, and their HTML page.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{EngineError, Request, Response};

use super::log::{Entry, Line, VERSION};
use crate::util::fs;
use crate::util::json::error_in_line;
use crate::util::jsonl::Reader;

/// What a run log holds: calls in the order in which they ended, and graphs.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Message, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::layer::EngineExt;
/// use textgrad_ops::store::{RunLog, RunLogger};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("run.jsonl");
/// let log = RunLogger::open(&path).await?;
/// let engine = engine_fn("e", |_| async { Ok(Response::new(vec![Choice::new("hi", FinishReason::Stop)])) });
/// engine.logged(&log).complete(&Request::new(Purpose::Sample, [Message::user("hello")])).await?;
///
/// let read = RunLog::read(&path).await?;
/// assert_eq!(read.calls()[0].request.messages[0].text(), "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct RunLog {
    pub(super) calls: Vec<RunLogCall>,
    pub(super) graphs: Vec<RunLogGraph>,
    torn: bool,
}

/// A call in a run log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunLogCall {
    /// When it began, in milliseconds since the Unix epoch.
    pub time: u64,
    /// How long it took.
    #[serde(rename = "ms", with = "millis")]
    pub latency: Duration,
    /// The engine's name.
    pub engine: String,
    /// Whether the answer is simulated.
    pub is_simulation: bool,
    /// What was asked.
    pub request: Request,
    /// What was answered, with its tokens.
    #[serde(flatten, with = "CallOutcome")]
    pub result: Result<Response, EngineError>,
}

/// A graph in a run log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunLogGraph {
    /// When it was written, in milliseconds since the Unix epoch.
    pub time: u64,
    /// The name that it was written under.
    pub name: String,
    /// The graph, as `GraphView::to_json` writes it.
    #[serde(rename = "graph")]
    pub json: Json,
}

impl RunLog {
    /// Reads a log. A last line that was not written to its end, as after a crash, is left out; see
    /// [`RunLog::is_torn`].
    ///
    /// # Errors
    /// [`LogError`] if the file cannot be read, or has a line that is none of a log or of another version.
    pub async fn read(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let path = path.as_ref().to_owned();
        fs::blocking(move || Self::read_blocking(&path)).await
    }

    pub(super) fn read_blocking(path: &Path) -> Result<Self, LogError> {
        let bytes =
            std::fs::read(path).map_err(|error| LogError::io(path, "cannot be read", error))?;
        let mut log = Self::default();
        let mut lines = Reader::new(bytes.as_slice());
        let failed = |error| LogError::io(path, "cannot be read", error);
        while let Some(line) = lines.next_line().map_err(failed)? {
            match entry(line.bytes, path, line.number)? {
                Entry::Call(call) => log.calls.push(*call),
                Entry::Graph(graph) => log.graphs.push(graph),
            }
        }
        log.torn = lines.torn().is_some();
        Ok(log)
    }

    /// The calls, in the order in which they ended.
    #[must_use]
    pub fn calls(&self) -> &[RunLogCall] {
        &self.calls
    }

    /// The graphs, in the order in which they were written.
    #[must_use]
    pub fn graphs(&self) -> &[RunLogGraph] {
        &self.graphs
    }

    /// Whether the last line was not written to its end, and left out.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.torn
    }
}

pub(super) fn entry(line: &[u8], path: &Path, number: usize) -> Result<Entry, LogError> {
    let wrong = |source| LogError::Line { path: path.to_owned(), line: number, source };
    let json: Json = serde_json::from_slice(line).map_err(|error| wrong(error_in_line(&error)))?;
    if let Some(got) = json.get("version").and_then(Json::as_u64)
        && got != u64::from(VERSION)
    {
        let path = path.to_owned();
        return Err(LogError::Version { path, line: number, expected: VERSION, got });
    }
    Ok(Line::deserialize(json).map_err(wrong)?.entry)
}

/// What can go wrong with a run log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened, read or written.
    #[error("the run log {} {action}; check the folder and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What cannot be done.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// Another process writes to the file.
    #[error("the run log {} is being written by another process; choose another file or wait for its end", .0.display())]
    Locked(PathBuf),
    /// The file to be continued is none of a log. Nothing was written to it.
    #[error("expected a run log to continue (lines of JSON with a version and a type) or no file yet at {}, got a file of something else; it was left as it is: choose another file", .0.display())]
    Foreign(PathBuf),
    /// A line that is not the last cannot be read.
    #[error("expected a call or a graph in line {line} of the run log {}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line is of a version that this library does not know.
    #[error(
        "expected lines of version {expected} in the run log {}, got version {got} in line {line}; read it with the version of the library that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The version that is known.
        expected: u32,
        /// The version that was found.
        got: u64,
    },
    /// Work on the file ended early: it panicked, or the runtime is shutting down.
    #[error("work on the run log ended early")]
    Blocking(#[from] fs::BlockingError),
    /// The page cannot be written.
    #[error("the page {} cannot be written; check the folder and its permissions", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A graph in the log is of no use.
    #[error("the graph {name:?} of the run log cannot be shown")]
    Graph {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: textgrad_core::Error,
    },
}

impl LogError {
    pub(super) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }
}

/// A response or an error.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Result<Response, EngineError>")]
enum CallOutcome {
    #[serde(rename = "response")]
    Ok(Response),
    #[serde(rename = "error")]
    Err(EngineError),
}

/// A duration in milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        // Microseconds are more than any clock of a network call is good for.
        ((time.as_secs_f64() * 1e6).round() / 1e3).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let ms = f64::deserialize(from)?;
        Ok(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
    }
}
