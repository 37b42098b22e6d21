//! A run log that was read.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value as Json;
use textgrad_core::{EngineError, Request, Response};

use super::error::LogError;
use super::line::{CallLine, Entry, Line, VERSION};

/// What a run log holds: calls in the order in which they ended, and graphs.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Message, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::engine::EngineExt;
/// use textgrad_ops::engine::layer::{RunLog, RunLogger};
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
    pub(super) calls: Vec<LoggedCall>,
    pub(super) graphs: Vec<LoggedGraph>,
    torn: bool,
}

/// A call in a run log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoggedCall {
    /// When it began, in milliseconds since the Unix epoch.
    pub time: u64,
    /// How long it took.
    pub latency: Duration,
    /// The engine's name.
    pub engine: String,
    /// Whether the answer is simulated.
    pub is_simulation: bool,
    /// What was asked.
    pub request: Request,
    /// What was answered, with its tokens.
    pub result: Result<Response, EngineError>,
}

/// A graph in a run log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoggedGraph {
    /// When it was written, in milliseconds since the Unix epoch.
    pub time: u64,
    /// The name that it was written under.
    pub name: String,
    /// The graph, as `GraphView::to_json` writes it.
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
        let at = path.clone();
        let read = tokio::task::spawn_blocking(move || Self::read_blocking(&path)).await;
        read.map_err(|error| LogError::io(&at, "cannot be read", std::io::Error::other(error)))?
    }

    pub(super) fn read_blocking(path: &Path) -> Result<Self, LogError> {
        let bytes =
            std::fs::read(path).map_err(|error| LogError::io(path, "cannot be read", error))?;
        let mut log = Self::default();
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if !line.ends_with(b"\n") {
                log.torn = true;
                break;
            }
            match entry(line, path, index + 1)? {
                Entry::Call(call) => log.calls.push((*call).into()),
                Entry::Graph { time, name, graph } => {
                    log.graphs.push(LoggedGraph { time, name, json: graph });
                }
            }
        }
        Ok(log)
    }

    /// The calls, in the order in which they ended.
    #[must_use]
    pub fn calls(&self) -> &[LoggedCall] {
        &self.calls
    }

    /// The graphs, in the order in which they were written.
    #[must_use]
    pub fn graphs(&self) -> &[LoggedGraph] {
        &self.graphs
    }

    /// Whether the last line was not written to its end, and left out.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.torn
    }
}

impl From<CallLine> for LoggedCall {
    fn from(line: CallLine) -> Self {
        Self {
            time: line.time,
            latency: Duration::try_from_secs_f64(line.ms / 1e3).unwrap_or_default(),
            engine: line.engine,
            is_simulation: line.is_simulation,
            request: line.request,
            result: line.outcome.into(),
        }
    }
}

pub(super) fn entry(line: &[u8], path: &Path, number: usize) -> Result<Entry, LogError> {
    let wrong = |source| LogError::Line { path: path.to_owned(), line: number, source };
    let json: Json = serde_json::from_slice(line).map_err(wrong)?;
    if let Some(got) = json.get("version").and_then(Json::as_u64)
        && got != u64::from(VERSION)
    {
        let path = path.to_owned();
        return Err(LogError::Version { path, line: number, expected: VERSION, got });
    }
    Ok(Line::deserialize(json).map_err(wrong)?.entry)
}
