//! The directory of a training: settings, history, checkpoint, result.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use textgrad_core::truncate;

use super::record::HistoryRecord;
use crate::error::Error;
use crate::util::fs::{self, blocking};
use crate::util::json;
use crate::util::jsonl::Reader;

/// Version of the formats in the directory.
pub(super) const SCHEMA: u32 = 1;
const CONFIG: &str = "config.json";
const HISTORY: &str = "history.jsonl";
const CHECKPOINT: &str = "checkpoint.json";

/// The folder of a training, open for writing. Only one process can have it.
pub(crate) struct Folder {
    path: PathBuf,
    history: Arc<Mutex<History>>,
}

/// `history.jsonl`, as far as its lines are whole.
struct History {
    file: File,
    records: usize,
    length: u64,
}

/// What a folder holds of an earlier run: the state after its last whole step, and what led there.
pub(crate) struct Saved<C> {
    pub(crate) checkpoint: C,
    pub(crate) history: Vec<HistoryRecord>,
}

impl Folder {
    /// Starts a run in a folder, which is made if it is not there.
    pub(crate) async fn create(path: &Path, config: Json) -> Result<Self, Error> {
        let path = path.to_owned();
        blocking(move || {
            std::fs::create_dir_all(&path).map_err(io(&path, "cannot be created"))?;
            let file = path.join(HISTORY);
            // Made only if nobody else has, so two processes cannot both begin here.
            let opened = OpenOptions::new().read(true).append(true).create_new(true).open(&file);
            let history = opened.map_err(|source| match source.kind() {
                std::io::ErrorKind::AlreadyExists => Error::RunExists { path: path.clone() },
                _ => io(&file, "cannot be created")(source),
            })?;
            lock(&history, &path)?;
            put(&path.join(CONFIG), &pretty(&config))?;
            Ok(Self::new(path, History { file: history, records: 0, length: 0 }))
        })
        .await
    }

    fn new(path: PathBuf, history: History) -> Self {
        Self { path, history: Arc::new(Mutex::new(history)) }
    }

    /// Opens the folder of an earlier run with the same settings. A run that was killed before its first
    /// checkpoint begins anew.
    pub(crate) async fn resume<C: DeserializeOwned + Send + 'static>(
        path: &Path,
        config: Json,
        steps: fn(&C) -> usize,
    ) -> Result<(Self, Option<Saved<C>>), Error> {
        let path = path.to_owned();
        blocking(move || {
            let file = path.join(HISTORY);
            let opened = OpenOptions::new().read(true).append(true).open(&file);
            let history = opened.map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => Error::NoRun { path: path.clone() },
                _ => io(&file, "cannot be opened")(source),
            })?;
            lock(&history, &path)?;
            match read_json::<Json>(&path.join(CONFIG))? {
                Some(then) => {
                    let found = json::differences(&then, &config);
                    let show = |value: &Json| truncate(&value.to_string(), 60);
                    let differences: Vec<String> = found
                        .iter()
                        .map(|d| format!("{}: {} then, {} now", d.path, show(d.then), show(d.now)))
                        .collect();
                    if !differences.is_empty() {
                        return Err(Error::RunDiffers { path, differences });
                    }
                }
                // The process that began here was killed before it had written its settings.
                None => put(&path.join(CONFIG), &pretty(&config))?,
            }
            let checkpoint: Option<C> = read_json(&path.join(CHECKPOINT))?;
            let wanted = checkpoint.as_ref().map(|checkpoint| 1 + steps(checkpoint));
            let (records, length) = read_history(&history, &file, wanted)?;
            let history = History { file: history, records: records.len(), length };
            let saved = checkpoint.map(|checkpoint| Saved { checkpoint, history: records });
            Ok((Self::new(path, history), saved))
        })
        .await
    }

    /// Adds a line to the history, then puts the checkpoint in its place. If the line cannot be written whole,
    /// the history is as it was and there is no new checkpoint. Not cancel safe in the sense that dropping the
    /// future does not undo it: what was begun is finished in the background.
    pub(crate) async fn save(
        &self,
        record: &HistoryRecord,
        checkpoint: &impl serde::Serialize,
    ) -> Result<(), Error> {
        let (line, checkpoint) = (self.json(record)?, self.json(checkpoint)?);
        let (path, history) = (self.path.clone(), Arc::clone(&self.history));
        blocking(move || {
            let mut history = history.lock();
            history
                .append(&format!("{line}\n"))
                .map_err(io(&path.join(HISTORY), "cannot be written"))?;
            put(&path.join(CHECKPOINT), &format!("{checkpoint}\n"))
        })
        .await
    }

    /// Puts a checkpoint of so many steps in its place, unless the history lacks a line of one of them, or of
    /// the baseline.
    pub(crate) async fn checkpoint(
        &self,
        checkpoint: &impl serde::Serialize,
        steps: usize,
    ) -> Result<(), Error> {
        let checkpoint = self.json(checkpoint)?;
        let (path, history) = (self.path.clone(), Arc::clone(&self.history));
        blocking(move || {
            let history = history.lock();
            if history.records != 1 + steps {
                return Ok(());
            }
            put(&path.join(CHECKPOINT), &format!("{checkpoint}\n"))
        })
        .await
    }

    /// Writes `result.json`.
    pub(crate) async fn finish(&self, result: Json) -> Result<(), Error> {
        let path = self.path.join("result.json");
        blocking(move || put(&path, &pretty(&result))).await
    }

    fn json(&self, value: &impl serde::Serialize) -> Result<String, Error> {
        serde_json::to_string(value)
            .map_err(|error| io(&self.path, "cannot be written")(error.into()))
    }
}

impl History {
    fn append(&mut self, line: &str) -> std::io::Result<()> {
        // Nothing unless an earlier line was not written whole and could not be cut off.
        self.file.set_len(self.length)?;
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // A reader expects no part of a line; if this fails too, the next attempt begins with it.
            let _ = self.file.set_len(self.length);
        } else {
            self.records += 1;
            self.length += line.len() as u64;
        }
        written
    }
}

fn io(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), action, source }
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match fs::try_lock(file).map_err(io(path, "cannot be locked"))? {
        true => Ok(()),
        false => Err(Error::RunLocked { path: path.to_owned() }),
    }
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    fs::replace(path, text.as_bytes()).map_err(io(path, "cannot be written"))
}

fn pretty(value: &Json) -> String {
    format!("{value:#}\n")
}

/// A JSON file, if it is there.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path, "cannot be read")(error)),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| damaged(path, error.to_string()))
}

fn damaged(path: &Path, reason: String) -> Error {
    Error::RunDamaged { path: path.to_owned(), reason }
}

/// The records that the checkpoint counts, and their length. A line is written before the checkpoint that
/// counts it: what follows them was not finished and is cut off, as is the baseline of a run that was killed
/// before its first checkpoint. A longer history without a checkpoint has lost it.
fn read_history(
    mut file: &File,
    path: &Path,
    counted: Option<usize>,
) -> Result<(Vec<HistoryRecord>, u64), Error> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io(path, "cannot be read"))?;
    let wanted = counted.unwrap_or_default();
    let (mut records, mut length) = (Vec::new(), 0);
    let mut reader = Reader::new(bytes.as_slice());
    while let Some(line) = reader.next_line().map_err(io(path, "cannot be read"))? {
        if line.number > wanted {
            continue;
        }
        length = line.offset + line.bytes.len() as u64;
        records.push(line.parse().map_err(|error| {
            damaged(path, format!("line {} is no record: {error}", line.number))
        })?);
    }
    let found = reader.number();
    if counted.is_none() && found > 1 {
        return Err(damaged(
            path,
            format!(
                "it has {found} records, but {CHECKPOINT} beside it is missing; put that back, or begin in \
                 another folder"
            ),
        ));
    }
    if records.len() < wanted {
        return Err(damaged(
            path,
            format!("expected {wanted} records, as the checkpoint says, found {found}"),
        ));
    }
    file.set_len(length).map_err(io(path, "cannot be repaired"))?;
    Ok((records, length))
}
