//! Making and opening the folder.

use std::path::{Path, PathBuf};

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
        let io = |path: &Path, action| {
            let path = path.to_owned();
            move |source| Error::Io { path, action, source }
        };
        tokio::fs::create_dir_all(path).await.map_err(io(path, "can not be created"))?;
        if tokio::fs::try_exists(&journal).await.map_err(io(&journal, "can not be read"))? {
            return Err(Error::RunExists { path: path.to_owned() });
        }
        let json = serde_json::to_value(config)
            .map_err(|error| Error::JournalWrite { reason: error.to_string() })?;
        let file = path.join("config.json");
        let text = format!("{json:#}\n");
        tokio::fs::write(&file, text).await.map_err(io(&file, "can not be written"))?;
        let journal = Journal::create(&journal, json).await?;
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
        let journal = Journal::resume(&file).await?;
        let differences = config.differences(journal.config());
        if !differences.is_empty() {
            return Err(Error::RunDiffers { path: path.to_owned(), differences });
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
