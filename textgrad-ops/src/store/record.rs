//! Recordings of runs, and their replay without a network.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response};
use tokio::fs::OpenOptions;

use super::key::{RequestKey, request_key};
use super::outcome::CallOutcome;
use crate::layer::Layer;
use crate::util::json::first_difference;
use crate::util::jsonl::{Reader, Writer};

/// A layer that writes each request and its answer, or error, to a new file; see
/// [`EngineExt::record`](crate::layer::EngineExt::record) and [`Replay`].
///
/// The file is JSON lines: a header with the version of the format, the engine's name and whether it
/// simulates, then one line for each call in the order in which they ended. It holds everything that was
/// said, so it is as confidential as the conversation; keys are not part of a request and so not of it.
///
/// An answer is handed on when its line is with the operating system. One that cannot be written is an
/// error: a recording with holes would only fail later, and far from the cause.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    lines: Writer,
}

impl Recorder {
    pub(crate) async fn create(path: PathBuf, engine: &EngineInfo) -> Result<Self, EngineError> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path).await;
        let file = file.map_err(|error| {
            let what = match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    "exists already; choose another file or remove it"
                }
                _ => "cannot be made; check the folder and its permissions",
            };
            let message = format!("the recording {} {what}", path.display());
            EngineError::new(ErrorKind::Other, message).with_source(error)
        })?;
        let recorder = Self { lines: Writer::new(file.into_std().await), path };
        recorder.write(&Header::new(engine)).await?;
        Ok(recorder)
    }

    /// Writes one line, which a caller that goes away does not take along.
    async fn write(&self, line: &impl Serialize) -> Result<(), EngineError> {
        self.lines.write(line).await.map_err(|error| {
            let message = format!(
                "the recording {} cannot be written; the call was made but is lost to it",
                self.path.display()
            );
            EngineError::new(ErrorKind::Other, message).with_source(error)
        })
    }
}

impl Layer for Recorder {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let result = engine.complete(request).await;
        let line = Line { request: request.clone(), outcome: (&result).into() };
        self.write(&line).await?;
        result
    }
}

/// An engine that answers from a recording, without any network; see
/// [`EngineExt::record`](crate::layer::EngineExt::record).
///
/// A request is matched by everything that it asks, not by its place: equal requests get their answers, and
/// errors, in the order in which they were recorded, each once. One that was not recorded, or not as often,
/// is a final error that names its purpose and, where only one recorded request could have been meant,
/// where the two part.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Message, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::layer::EngineExt;
/// use textgrad_ops::store::Replay;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("run.jsonl");
/// let request = Request::new(Purpose::Sample, [Message::user("hello")]);
///
/// let live = engine_fn("live", |_| async { Ok(Response::new(vec![Choice::new("hi", FinishReason::Stop)])) });
/// live.record(&path).await?.complete(&request).await?;
///
/// let replay = Replay::open(&path).await?;
/// assert_eq!(replay.name(), "live");
/// assert_eq!(replay.complete(&request).await?.choices[0].text, "hi");
/// assert!(replay.complete(&request).await.is_err());
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Replay {
    info: EngineInfo,
    calls: Mutex<HashMap<RequestKey, Calls>>,
}

/// The recorded calls of equal requests.
#[derive(Debug, Default)]
struct Calls {
    recorded: usize,
    left: VecDeque<Line>,
}

impl Replay {
    /// Reads a recording. A last line that was not written to its end, as after a crash, is left out with a
    /// warning.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if the file cannot be read, is no recording, is of another version, or has a line
    /// before the last that cannot be read.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let wrong = |what: String| {
            EngineError::new(ErrorKind::Other, format!("the recording {}: {what}", path.display()))
        };
        let text = tokio::fs::read(path)
            .await
            .map_err(|error| wrong("the file cannot be read".into()).with_source(error))?;
        let mut lines = Reader::new(text.as_slice());
        let unreadable =
            |error: std::io::Error| wrong("the file cannot be read".into()).with_source(error);
        let header: Header = match lines.next_line().map_err(unreadable)? {
            Some(line) => line.parse(),
            None => serde_json::from_slice(lines.torn().unwrap_or_default()),
        }
        .map_err(|error| wrong("expected a header in line 1".into()).with_source(error))?;
        if let Some(problem) = header.problem() {
            return Err(wrong(problem));
        }
        let mut calls: HashMap<RequestKey, Calls> = HashMap::new();
        while let Some(line) = lines.next_line().map_err(unreadable)? {
            let line: Line = line.parse().map_err(|error| {
                wrong(format!("expected a recorded call in line {}", line.number))
                    .with_source(error)
            })?;
            let calls = calls.entry(request_key(&header.engine, &line.request)).or_default();
            calls.recorded += 1;
            calls.left.push_back(line);
        }
        if lines.torn().is_some() {
            let line = lines.number() + 1;
            tracing::warn!(path = %path.display(), line, "the last line of the recording is torn and left out");
        }
        let info = EngineInfo::new(header.engine).with_simulation(header.is_simulation);
        Ok(Self { info, calls: Mutex::new(calls) })
    }

    /// How many recorded calls were not asked for yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.values().map(|calls| calls.left.len()).sum()
    }
}

#[async_trait]
impl Engine for Replay {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let key = request_key(self.name(), request);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let times = match calls.get_mut(&key) {
            Some(calls) => match calls.left.pop_front() {
                Some(line) => return line.outcome.into(),
                None => calls.recorded,
            },
            None => 0,
        };
        Err(unmatched(request, times, &calls))
    }
}

fn unmatched(request: &Request, times: usize, calls: &HashMap<RequestKey, Calls>) -> EngineError {
    let purpose = request.purpose;
    let mut message = match times {
        0 => format!("the recording holds no answer to this {purpose} request"),
        _ => format!(
            "the recording holds {times} answers to this {purpose} request, and all were given"
        ),
    };
    let mut near = calls
        .values()
        .filter_map(|calls| calls.left.front())
        .filter(|line| line.request.purpose == purpose);
    if let (0, Some(only), None) = (times, near.next(), near.next())
        && let (Ok(recorded), Ok(asked)) =
            (serde_json::to_value(&only.request), serde_json::to_value(request))
        && let Some(difference) = first_difference(&recorded, &asked)
    {
        message.push_str("; the only one left for this purpose differs at ");
        message.push_str(&difference);
    }
    message.push_str("; record the run again if it was meant to change");
    EngineError::new(ErrorKind::Other, message)
}

const FORMAT: &str = "textgrad-recording";
/// Goes up when an older reader would misread the lines.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    engine: String,
    is_simulation: bool,
}

impl Header {
    fn new(engine: &EngineInfo) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            engine: engine.name().to_owned(),
            is_simulation: engine.is_simulation(),
        }
    }

    /// What is wrong with the header, if anything is.
    fn problem(&self) -> Option<String> {
        (self.format != FORMAT || self.version != VERSION).then(|| {
            format!(
                "expected a {FORMAT} of version {VERSION}, got a {:?} of version {}",
                self.format, self.version
            )
        })
    }
}

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    request: Request,
    #[serde(flatten)]
    outcome: CallOutcome,
}

#[cfg(test)]
mod tests;
