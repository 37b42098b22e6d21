//! The file of a run log, open for writing.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::lines::LineWriter;
use super::error::LogError;
use super::line::{LONGEST_BEGINNING, Line, begins_a_line};
use super::read::entry;

/// A run log, open for writing: engines write their calls to it, and a program its graphs.
///
/// Cheap to clone; clones write to the same file, in the order in which calls end. See
/// [`EngineExt::logged`](crate::engine::EngineExt::logged) and [`RunLog`](super::RunLog).
#[derive(Clone)]
pub struct RunLogger {
    path: Arc<Path>,
    lines: LineWriter,
}

impl RunLogger {
    /// Opens a log to be continued, or makes a new one. What a killed process left of its last line is cut
    /// off. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`LogError`] if the file cannot be opened, holds something else than a log (it is left as it is then), or
    /// another process has it open for writing.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path: Arc<Path> = path.into().into();
        let opened = Arc::clone(&path);
        let file = tokio::task::spawn_blocking(move || open(&opened)).await;
        let stopped = |error| LogError::io(&path, "cannot be opened", std::io::Error::other(error));
        let file = file.map_err(stopped)??;
        Ok(Self { lines: LineWriter::start(tokio::fs::File::from_std(file)), path })
    }

    pub(super) async fn write(&self, line: &Line) -> Result<(), LogError> {
        let written = self.lines.write(line).await;
        written.map_err(|error| LogError::io(&self.path, "cannot be written", error))
    }
}

impl fmt::Debug for RunLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLogger").field("path", &self.path).finish_non_exhaustive()
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
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(LogError::Locked(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
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

/// Where the last whole line ends, read from the end: a log may be long.
fn end_of_last_line(file: &mut std::fs::File) -> std::io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        block.clear();
        file.take(end - begin).read_to_end(&mut block)?;
        if let Some(newline) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
