//! Run logs: every call of a run as a line of JSON, for people.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use textgrad_core::{Engine, EngineError, Request, Response};
use tokio::time::Instant;

use super::run_log::{LogError, RunLogCall, RunLogGraph, entry};
use crate::layer::Layer;
use crate::util::fs;
use crate::util::jsonl::{Writer, end_of_last_line};

/// A run log, open for writing: engines write their calls to it, and a program its graphs.
///
/// Cheap to clone; clones write to the same file, in the order in which calls end. See
/// [`EngineExt::logged`](crate::layer::EngineExt::logged) and [`RunLog`](super::RunLog).
///
/// The file is JSON lines, each by itself: the `version` of the format, when the call began (`time`, in
/// milliseconds since the Unix epoch), how long it took (`ms`), the `engine` and whether it simulates, the
/// `request` with its purpose, and the `response` with its tokens, or the `error`. Several engines may write
/// to one log, and a log may be continued. It holds all texts, so it is as confidential as
/// the conversation; keys are not part of a request and so not of it.
///
/// A [recording](super::Recorder) is a log that refuses to have holes, for it is to be replayed. In this one, an answer
/// that was paid for is handed on even where its line cannot be written; a warning says so. A call whose caller goes
/// away before it ends has no line.
#[derive(Debug, Clone)]
pub struct RunLogger {
    path: Arc<Path>,
    lines: Writer,
}

impl RunLogger {
    /// Opens a log to be continued, or makes a new one. What a killed process left of its last line is cut
    /// off. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`LogError`] if the file cannot be opened, holds something else than a log (it is left as it is then), or
    /// another process has it open for writing.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        fs::blocking(move || Ok(Self::new(&path, open(&path)?))).await
    }

    pub(super) fn write(&self, entry: Entry) -> Result<(), LogError> {
        let written = self.lines.write(&Line { version: VERSION, entry });
        written.map_err(|error| LogError::io(&self.path, "cannot be written", error))
    }
}

impl RunLogger {
    /// A log in a new, empty file.
    pub(super) fn new(path: &Path, file: std::fs::File) -> Self {
        Self { path: path.into(), lines: Writer::new(file) }
    }

    /// Makes a call and writes its line.
    pub(super) async fn complete(
        &self,
        engine: &impl Engine,
        request: &Request,
    ) -> (Result<Response, EngineError>, Result<(), LogError>) {
        let (time, begun) = (unix_ms(), Instant::now());
        let result = engine.complete(request).await;
        let call = RunLogCall {
            time,
            latency: begun.elapsed(),
            engine: engine.name().to_owned(),
            is_simulation: engine.is_simulation(),
            request: request.clone(),
            result: result.clone(),
        };
        let written = self.write(Entry::Call(Box::new(call)));
        (result, written)
    }
}

impl Layer for RunLogger {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let (result, written) = self.complete(engine, request).await;
        if let Err(error) = written {
            tracing::warn!(%error, "a call is missing in the run log");
        }
        result
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn open(path: &Path) -> Result<std::fs::File, LogError> {
    let failed = |error| LogError::io(path, "cannot be opened", error);
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(failed)?;
    if !fs::try_lock(&file).map_err(failed)? {
        return Err(LogError::Locked(path.to_owned()));
    }
    let end = end_of_last_line(&mut file).map_err(failed)?;
    refuse_foreign(&mut file, end, path)?;
    file.set_len(end).map_err(failed)?;
    Ok(file)
}

/// Whether it is a log whose last line may have been cut off, by its first line and its end; all the lines
/// between would take long to read.
fn refuse_foreign(file: &mut std::fs::File, end: u64, path: &Path) -> Result<(), LogError> {
    let failed = |error| LogError::io(path, "cannot be opened", error);
    if end > 0 {
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut line = Vec::new();
        BufReader::new(&mut *file).take(end).read_until(b'\n', &mut line).map_err(failed)?;
        match entry(&line, path, 1) {
            Ok(_) => {}
            Err(newer @ LogError::Version { .. }) => return Err(newer),
            Err(_) => return Err(LogError::Foreign(path.to_owned())),
        }
    }
    file.seek(SeekFrom::Start(end)).map_err(failed)?;
    let mut rest = Vec::new();
    file.take(LONGEST_BEGINNING).read_to_end(&mut rest).map_err(failed)?;
    if begins_a_line(&rest) { Ok(()) } else { Err(LogError::Foreign(path.to_owned())) }
}

/// Goes up when an older reader would misread a line. Each line has it, since a log may be continued by a
/// later version.
pub(super) const VERSION: u32 = 1;

/// The beginnings of lines of this version, which distinguish the rest of one from other data.
const BEGINNINGS: [&[u8]; 2] =
    [br#"{"version":1,"type":"call","time":"#, br#"{"version":1,"type":"graph","time":"#];

/// More of a line than this is not needed to tell.
pub(super) const LONGEST_BEGINNING: u64 = 64;

/// Whether some bytes, of which there may be none, are the beginning of a line.
pub(super) fn begins_a_line(bytes: &[u8]) -> bool {
    BEGINNINGS.iter().any(|known| known.iter().zip(bytes).all(|(known, byte)| known == byte))
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    version: u32,
    #[serde(flatten)]
    pub(super) entry: Entry,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Entry {
    Call(Box<RunLogCall>),
    Graph(RunLogGraph),
}

#[cfg(test)]
mod tests;
