//! The folder of a run, open for writing.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use textgrad_ops::util::fs;

use super::config::RunConfig;
use super::results::ResultsWriter;
use crate::error::Error;
use crate::journal::Journal;
use crate::query::Query;
use crate::util::blocking;

/// The folder of a run, open for writing. Only one process can have it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    journal: Journal,
}

impl RunFolder {
    /// Starts a run in a folder, which is made if it is not there. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::RunExists`] if the folder holds a run, [`Error::Io`] if it cannot be written.
    pub async fn create(path: &Path, config: &RunConfig) -> Result<Self, Error> {
        let journal = path.join("journal.jsonl");
        let made = tokio::fs::create_dir_all(path).await;
        made.map_err(Error::io(path, "cannot be created"))?;
        let json = config.to_json()?;
        // The journal first: it is made only if nobody else has, so two processes cannot both begin here.
        let journal = Journal::create(&journal, json.clone()).await?;
        write_config(path, &json).await?;
        Ok(Self { path: path.to_owned(), journal })
    }

    /// Continues the run in a folder. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::NoRun`] if there is none, [`Error::RunDiffers`] if it was made with other settings, and
    /// those of [`Journal::resume`].
    pub async fn resume(path: &Path, config: &RunConfig) -> Result<Self, Error> {
        let journal = reopen(path, config).await?;
        same(path, config.differences(journal.config()))?;
        // A process that was killed may have left none, or that of before the run was extended.
        restore_config(path, journal.config()).await?;
        Ok(Self { path: path.to_owned(), journal })
    }

    /// Continues the run in a folder with more iterations, or with more queries behind those that it had. Every
    /// step that it has paid for is answered from the journal, so that its results become those of a run that
    /// was made at once. It must be called within a tokio runtime.
    ///
    /// A search that a bound on seconds had ended goes on, for its time begins again.
    ///
    /// # Errors
    /// [`Error::NoRun`] if there is none, [`Error::RunDiffers`] if anything else differs: `config` is of the
    /// whole run, and the queries that it had must be the first of `queries`. Those of [`Journal::resume`].
    pub async fn extend(path: &Path, config: &RunConfig, queries: &[Query]) -> Result<Self, Error> {
        let mut journal = reopen(path, config).await?;
        same(path, config.differences_beyond(journal.config(), queries))?;
        if !config.differences(journal.config()).is_empty() {
            let mut json = config.to_json()?;
            if let (Some(now), Some(then)) = (json.get_mut("tpo"), journal.config().get("tpo")) {
                *now = then.clone();
            }
            // The journal before `config.json`: a resume repairs the file after a kill between the two writes.
            journal = journal.extend(json).await?;
        }
        restore_config(path, journal.config()).await?;
        Ok(Self { path: path.to_owned(), journal })
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins `results.jsonl`. What an earlier attempt left there stays until this one is finished.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub async fn results(&self) -> Result<ResultsWriter, Error> {
        ResultsWriter::create(&self.path.join("results.jsonl")).await
    }
}

async fn reopen(path: &Path, config: &RunConfig) -> Result<Journal, Error> {
    let file = path.join("journal.jsonl");
    if !tokio::fs::try_exists(&file).await.unwrap_or(false) {
        return Err(Error::NoRun { path: path.to_owned() });
    }
    Journal::resume(&file, config.to_json()?).await
}

fn same(path: &Path, differences: Vec<String>) -> Result<(), Error> {
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::RunDiffers { path: path.to_owned(), differences }),
    }
}

/// Makes `config.json` what the journal says.
async fn restore_config(folder: &Path, config: &Json) -> Result<(), Error> {
    let read = tokio::fs::read(folder.join("config.json")).await;
    match read.ok().and_then(|text| serde_json::from_slice::<Json>(&text).ok()) {
        Some(found) if found == *config => Ok(()),
        _ => write_config(folder, config).await,
    }
}

async fn write_config(folder: &Path, config: &Json) -> Result<(), Error> {
    let (path, text) = (folder.join("config.json"), format!("{config:#}\n"));
    blocking(move || {
        fs::replace(&path, text.as_bytes()).map_err(Error::io(&path, "cannot be written"))
    })
    .await
}
