//! Making and opening the folder.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::config::RunConfig;
use super::results::ResultsWriter;
use crate::error::Error;
use crate::journal::Journal;

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
    /// [`Error::RunExists`] if the folder holds a run, [`Error::Io`] if it can not be written.
    pub async fn create(path: &Path, config: &RunConfig) -> Result<Self, Error> {
        let journal = path.join("journal.jsonl");
        let made = tokio::fs::create_dir_all(path).await;
        made.map_err(|source| Error::Io {
            path: path.to_owned(),
            action: "can not be created",
            source,
        })?;
        let json = config.to_json()?;
        // The journal first: it is made only if nobody else has, so two processes can not both begin here.
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
        let file = path.join("journal.jsonl");
        if !tokio::fs::try_exists(&file).await.unwrap_or(false) {
            return Err(Error::NoRun { path: path.to_owned() });
        }
        let journal = Journal::resume(&file, config.to_json()?).await?;
        let differences = config.differences(journal.config());
        if !differences.is_empty() {
            return Err(Error::RunDiffers { path: path.to_owned(), differences });
        }
        if !tokio::fs::try_exists(path.join("config.json")).await.unwrap_or(false) {
            write_config(path, journal.config()).await?;
        }
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
    /// [`Error::Io`] if it can not be written.
    pub async fn results(&self) -> Result<ResultsWriter, Error> {
        ResultsWriter::create(&self.path.join("results.jsonl")).await
    }
}

async fn write_config(folder: &Path, config: &Json) -> Result<(), Error> {
    let path = folder.join("config.json");
    let written = tokio::fs::write(&path, format!("{config:#}\n")).await;
    written.map_err(|source| Error::Io { path, action: "can not be written", source })
}
