//! Answers from a recording.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response};

use super::difference::first_difference;
use super::line::{Header, Line};
use crate::engine::{RequestKey, request_key};

/// An engine that answers from a recording, without any network; see
/// [`EngineExt::record`](crate::engine::EngineExt::record).
///
/// A request is matched by everything that it asks, not by its place: equal requests get their answers, and
/// errors, in the order in which they were recorded, each once. One that was not recorded, or not as often,
/// is a final error that says what it was for and, where only one recorded request could have been meant,
/// where the two part.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Message, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::engine::EngineExt;
/// use textgrad_ops::engine::layer::Replay;
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
    header: Header,
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
        let mut lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
        let header = lines.next().map_or(&[][..], |(_, line)| line);
        let header: Header = serde_json::from_slice(header)
            .map_err(|error| wrong("expected a header in line 1".into()).with_source(error))?;
        if let Some(complaint) = header.complaint() {
            return Err(wrong(complaint));
        }
        let mut calls: HashMap<RequestKey, Calls> = HashMap::new();
        for (index, line) in lines {
            if !line.ends_with(b"\n") {
                tracing::warn!(path = %path.display(), line = index + 1, "the last line of the recording is torn and left out");
                break;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                wrong(format!("expected a recorded call in line {}", index + 1)).with_source(error)
            })?;
            let calls = calls.entry(request_key(&header.engine, &line.request)).or_default();
            calls.recorded += 1;
            calls.left.push_back(line);
        }
        Ok(Self { header, calls: Mutex::new(calls) })
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
    fn name(&self) -> &str {
        &self.header.engine
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let key = request_key(self.name(), request);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let times = match calls.get_mut(&key) {
            Some(calls) => match calls.left.pop_front() {
                Some(line) => return line.result(),
                None => calls.recorded,
            },
            None => 0,
        };
        Err(unmatched(request, times, &calls))
    }

    fn is_simulation(&self) -> bool {
        self.header.is_simulation
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
