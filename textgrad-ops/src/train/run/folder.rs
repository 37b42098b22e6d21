//! Making, opening and writing the folder.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::super::record::HistoryRecord;
use super::differences::differences;
use crate::error::Error;

const CONFIG: &str = "config.json";
const HISTORY: &str = "history.jsonl";
const CHECKPOINT: &str = "checkpoint.json";

/// The folder of a training, open for writing. Only one process can have it.
pub(in crate::train) struct Folder {
    path: PathBuf,
    history: Arc<File>,
}

/// What a folder holds of an earlier run: the state after its last whole step, and what led there.
pub(in crate::train) struct Saved<C> {
    pub(in crate::train) checkpoint: C,
    pub(in crate::train) history: Vec<HistoryRecord>,
}

impl Folder {
    /// Starts a run in a folder, which is made if it is not there.
    pub(in crate::train) async fn create(path: &Path, config: Json) -> Result<Self, Error> {
        let path = path.to_owned();
        blocking(path.clone(), move || {
            std::fs::create_dir_all(&path).map_err(io(&path, "can not be created"))?;
            let file = path.join(HISTORY);
            // Made only if nobody else has, so two processes can not both begin here.
            let opened = OpenOptions::new().read(true).append(true).create_new(true).open(&file);
            let history = opened.map_err(|source| match source.kind() {
                std::io::ErrorKind::AlreadyExists => Error::RunExists { path: path.clone() },
                _ => io(&file, "can not be created")(source),
            })?;
            lock(&history, &path)?;
            put(&path.join(CONFIG), &pretty(&config))?;
            Ok(Self { path, history: Arc::new(history) })
        })
        .await
    }

    /// Opens the folder of an earlier run with the same settings. Without a checkpoint the run begins anew.
    pub(in crate::train) async fn resume<C: DeserializeOwned + Send + 'static>(
        path: &Path,
        config: Json,
        steps: fn(&C) -> usize,
    ) -> Result<(Self, Option<Saved<C>>), Error> {
        let path = path.to_owned();
        blocking(path.clone(), move || {
            let file = path.join(HISTORY);
            let opened = OpenOptions::new().read(true).append(true).open(&file);
            let history = opened.map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => Error::NoRun { path: path.clone() },
                _ => io(&file, "can not be opened")(source),
            })?;
            lock(&history, &path)?;
            match read_json::<Json>(&path.join(CONFIG))? {
                Some(then) => {
                    let differences = differences(&then, &config);
                    if !differences.is_empty() {
                        return Err(Error::RunDiffers { path, differences });
                    }
                }
                // The process that began here was killed before it had written its settings.
                None => put(&path.join(CONFIG), &pretty(&config))?,
            }
            let checkpoint: Option<C> = read_json(&path.join(CHECKPOINT))?;
            // A line is written before the checkpoint that counts it: what is beyond was not finished.
            let wanted = checkpoint.as_ref().map_or(0, |checkpoint| 1 + steps(checkpoint));
            let records = read_history(&history, &file, wanted)?;
            let saved = checkpoint.map(|checkpoint| Saved { checkpoint, history: records });
            Ok((Self { path, history: Arc::new(history) }, saved))
        })
        .await
    }

    /// Adds a line to the history, then puts the checkpoint in its place. Not cancel safe in the sense that
    /// dropping the future does not undo it: what was begun is finished in the background.
    pub(in crate::train) async fn save(
        &self,
        record: Option<&HistoryRecord>,
        checkpoint: &impl serde::Serialize,
    ) -> Result<(), Error> {
        let line = record.map(|record| self.json(record)).transpose()?;
        let checkpoint = self.json(checkpoint)?;
        let (path, history) = (self.path.clone(), Arc::clone(&self.history));
        blocking(self.path.clone(), move || {
            if let Some(line) = line {
                let file = path.join(HISTORY);
                let written = (&*history).write_all(format!("{line}\n").as_bytes());
                written
                    .and_then(|()| history.sync_data())
                    .map_err(io(&file, "can not be written"))?;
            }
            put(&path.join(CHECKPOINT), &format!("{checkpoint}\n"))
        })
        .await
    }

    /// Writes `result.json`.
    pub(in crate::train) async fn finish(&self, result: Json) -> Result<(), Error> {
        let path = self.path.join("result.json");
        blocking(self.path.clone(), move || put(&path, &pretty(&result))).await
    }

    fn json(&self, value: &impl serde::Serialize) -> Result<String, Error> {
        serde_json::to_string(value)
            .map_err(|error| io(&self.path, "can not be written")(error.into()))
    }
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(io(&path, "can not be written")(std::io::Error::other(error))),
    }
}

fn io(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), action, source }
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::RunLocked { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(io(path, "can not be locked")(source)),
    }
}

fn pretty(value: &Json) -> String {
    format!("{value:#}\n")
}

/// Puts a file in its place when it is whole and on the disk, so that it is never half a file.
fn put(path: &Path, text: &str) -> Result<(), Error> {
    let partial = path.with_extension("json.partial");
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    });
    written.map_err(io(path, "can not be written"))
}

/// A JSON file, if it is there.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path, "can not be read")(error)),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| damaged(path, error.to_string()))
}

fn damaged(path: &Path, reason: String) -> Error {
    Error::RunDamaged { path: path.to_owned(), reason }
}

/// The first `wanted` records of a history; what follows them is cut off.
fn read_history(mut file: &File, path: &Path, wanted: usize) -> Result<Vec<HistoryRecord>, Error> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io(path, "can not be read"))?;
    let (mut records, mut length) = (Vec::new(), 0_u64);
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')).take(wanted) {
        if line.last() != Some(&b'\n') {
            break;
        }
        let record = serde_json::from_slice(line)
            .map_err(|error| damaged(path, format!("line {number} is no record: {error}")))?;
        records.push(record);
        length += line.len() as u64;
    }
    if records.len() < wanted {
        let found = records.len();
        return Err(damaged(
            path,
            format!("expected {wanted} records, as the checkpoint says, found {found}"),
        ));
    }
    file.set_len(length).map_err(io(path, "can not be repaired"))?;
    Ok(records)
}
