//! Recordings of runs, and their replay without a network.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use parking_lot::Mutex;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response, describe};
use tokio::fs::OpenOptions;

use super::key::{RequestKey, request_key};
use super::log::RunLogger;
use super::run_log::{RunLog, RunLogCall};
use crate::layer::Layer;
use crate::util::json::first_difference;

/// A layer that writes each request and its answer, or error, to a new file; see
/// [`EngineExt::record`](crate::layer::EngineExt::record) and [`Replay`].
///
/// The file is a [run log](super::RunLogger) of one engine. An answer is handed on when its line is with the operating
/// system. One that cannot be written is an error: a recording with holes would only fail later, far from the cause.
#[derive(Debug)]
pub struct Recorder(RunLogger);

impl Recorder {
    pub(crate) async fn create(path: PathBuf) -> Result<Self, EngineError> {
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
        Ok(Self(RunLogger::new(&path, file.into_std().await)))
    }
}

impl Layer for Recorder {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let (result, written) = self.0.complete(engine, request).await;
        written.map_err(|error| {
            let message = "the call was made, but its recording cannot be written";
            EngineError::new(ErrorKind::Other, message).with_source(error)
        })?;
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
    left: VecDeque<RunLogCall>,
}

impl Replay {
    /// Reads a recording, or another run log of one engine. A last line that was not written to its end, as after a
    /// crash, is left out with a warning.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if the file cannot be read, is none of a log, is of another version, or has no calls or
    /// those of several engines.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let wrong = |problem: &str| {
            let message = format!("the recording {}: {problem}", path.display());
            EngineError::new(ErrorKind::Other, message)
        };
        let log = RunLog::read(path).await.map_err(|error| wrong(&describe(&error)))?;
        if log.is_torn() {
            let line = log.calls.len() + log.graphs.len() + 1;
            tracing::warn!(path = %path.display(), line, "the last line of the recording is torn and left out");
        }
        let first = log.calls.first().ok_or_else(|| wrong("expected a recorded call, got none"))?;
        let info = EngineInfo::new(first.engine.clone()).with_simulation(first.is_simulation);
        let mut calls: HashMap<RequestKey, Calls> = HashMap::new();
        for call in log.calls {
            if call.engine != info.name() {
                let (one, other) = (info.name(), &call.engine);
                return Err(wrong(&format!("expected calls of one engine, got {one} and {other}")));
            }
            let calls = calls.entry(request_key(info.name(), &call.request)).or_default();
            calls.recorded += 1;
            calls.left.push_back(call);
        }
        Ok(Self { info, calls: Mutex::new(calls) })
    }

    /// How many recorded calls were not asked for yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let calls = self.calls.lock();
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
        let mut calls = self.calls.lock();
        let times = match calls.get_mut(&key) {
            Some(calls) => match calls.left.pop_front() {
                Some(call) => return call.result,
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

#[cfg(test)]
mod tests;
