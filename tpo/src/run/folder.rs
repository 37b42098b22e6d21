//! The folder of a run, open for writing or to be read only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use textgrad_ops::util::fs::{blocking, replace};

use super::config::RunConfig;
use super::finished::FinishedResults;
use super::results::{ResultRecord, ResultsReader, ResultsWriter};
use super::shard::Shard;
use crate::error::Error;
use crate::journal::{self, Journal, SCHEMA};
use crate::query::Query;
use crate::truncate::Tokenizer;
use crate::util::read_json;

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
        let journal = path.join(journal::FILE);
        if tokio::fs::metadata(path).await.is_ok_and(|found| !found.is_dir()) {
            return Err(Error::config(
                "out",
                "a directory",
                format!("the file {}", path.display()),
            ));
        }
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
    /// those of [`Journal::resume`]. A folder that a process left that was killed before its journal, empty or with
    /// `config.json` alone, holds a run without steps: it begins anew.
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

    /// Gives an open run these queries, the first of which it had.
    #[cfg(feature = "serve")]
    pub(crate) async fn set_queries(
        &mut self,
        source: &str,
        queries: &[Query],
    ) -> Result<(), Error> {
        let config = serde_json::from_value::<RunConfig>(self.journal.config().clone());
        let config = config.map_err(Error::journal_write)?;
        let json = config.with_queries(source, queries).to_json()?;
        if *self.journal.config() != json {
            // As in `extend`: a resume repairs the file after a kill between the two writes.
            self.journal = self.journal.clone().extend(json.clone()).await?;
        }
        restore_config(&self.path, &json).await
    }

    /// Begins `results.jsonl`. What an earlier attempt left there stays until this one is finished.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub async fn results(&self) -> Result<ResultsWriter, Error> {
        ResultsWriter::create(&self.results_path()).await
    }

    pub(super) fn results_path(&self) -> PathBuf {
        self.path.join("results.jsonl")
    }

    /// The results of finished queries that an earlier attempt left.
    pub(super) async fn finished(
        &self,
        queries: &[Query],
        shard: Option<Shard>,
    ) -> Result<FinishedResults, Error> {
        let (path, journal, queries) =
            (self.results_path(), self.journal.clone(), queries.to_vec());
        blocking(move || FinishedResults::find(&path, journal.finished(), &queries, shard)).await
    }
}

async fn reopen(path: &Path, config: &RunConfig) -> Result<Journal, Error> {
    let file = path.join(journal::FILE);
    if tokio::fs::try_exists(&file).await.unwrap_or(false) {
        // A journal that has lost its first line is of the run of `config.json`.
        let config = read_config(path).await.map_or_else(|| config.to_json(), Ok)?;
        return Journal::resume(&file, config).await;
    }
    if !is_unbegun(path).await {
        return Err(Error::NoRun { path: path.to_owned() });
    }
    let folder = path.display();
    tracing::warn!(%folder, "no journal.jsonl, as after a kill at the very start: the run begins anew");
    Journal::create(&file, config.to_json()?).await
}

/// Whether a folder is what a run leaves that is killed before its journal begins.
async fn is_unbegun(path: &Path) -> bool {
    let Ok(mut entries) = tokio::fs::read_dir(path).await else { return false };
    while let Ok(entry) = entries.next_entry().await {
        match entry {
            Some(entry) if entry.file_name() == "config.json" => {}
            Some(_) => return false,
            None => return true,
        }
    }
    false
}

async fn read_config(folder: &Path) -> Option<Json> {
    let text = tokio::fs::read(folder.join("config.json")).await.ok()?;
    serde_json::from_slice(&text).ok()
}

pub(super) fn same(path: &Path, differences: Vec<String>) -> Result<(), Error> {
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::RunDiffers { path: path.to_owned(), differences }),
    }
}

/// Makes `config.json` what the journal says.
async fn restore_config(folder: &Path, config: &Json) -> Result<(), Error> {
    match read_config(folder).await {
        Some(found) if found == *config => Ok(()),
        _ => write_config(folder, config).await,
    }
}

async fn write_config(folder: &Path, config: &Json) -> Result<(), Error> {
    let (path, text) = (folder.join("config.json"), format!("{config:#}\n"));
    let write =
        move || replace(&path, text.as_bytes()).map_err(Error::io(&path, "cannot be written"));
    blocking(write).await
}

/// The folder of a run, to be read only. All its methods that are not async block.
///
/// # Examples
/// ```no_run
/// use tpo::run::RecordedRun;
///
/// let run = RecordedRun::open("runs/first")?;
/// for result in run.results()? {
///     println!("{:?}", result?.best);
/// }
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RecordedRun {
    path: PathBuf,
    config: RunConfig,
    pub(super) tokenizer: Option<Arc<dyn Tokenizer>>,
}

/// Fields of a record that may hold the user's id of it, in this order.
const ID_FIELDS: [&str; 4] = ["id", "uid", "question_id", "unique_id"];

/// How many queries of one id an error names.
const MAX_NAMED: usize = 10;

/// The runs in a folder.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut runs: Vec<PathBuf> = paths.filter(|path| path.join("config.json").is_file()).collect();
    runs.sort();
    runs
}

impl RecordedRun {
    /// Reads the settings of the run in a folder.
    ///
    /// # Errors
    /// [`Error::NotARun`] if there are none, [`Error::Io`] if they cannot be read, [`Error::Record`] if they
    /// cannot be understood.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        match read_json(&path.join("config.json"), SCHEMA)? {
            Some(config) => Ok(Self { path, config, tokenizer: None }),
            None => Err(Error::NotARun { runs: runs(&path), path }),
        }
    }

    /// Gives it the tokenizer by which the run cut answers, without which no such search can be repeated.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Arc<dyn Tokenizer>) -> Self {
        self.tokenizer = Some(tokenizer);
        self
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the folder.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The journal's file.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join(journal::FILE)
    }

    /// What came of the queries, one after the other, in their order.
    ///
    /// # Errors
    /// [`Error::NoResults`] if there are none: the run is not over, or was killed. [`Error::Io`] if they cannot be
    /// read.
    pub fn results(&self) -> Result<ResultsReader, Error> {
        ResultsReader::open(&self.path)
    }

    /// The queries, in their order.
    pub(super) fn queries(&self) -> Result<Vec<Query>, Error> {
        self.results()?.map(|record| Ok(record?.query)).collect()
    }

    /// The index of the query with an id of the user: a text or number in the field `id` of its record, or else in
    /// `uid`, `question_id` or `unique_id`. `None` if no result has it. It blocks.
    ///
    /// # Errors
    /// [`Error::Input`] if several queries have it, and those of [`results`](Self::results) and of its items.
    pub fn index_of(&self, id: &str) -> Result<Option<usize>, Error> {
        let mut found = Vec::new();
        for record in self.results()? {
            let record = record?;
            let own = ID_FIELDS.iter().find_map(|name| record.fields.get(*name));
            let is_same = match own {
                Some(Json::String(text)) => text == id,
                Some(Json::Number(number)) => number.to_string() == id,
                _ => false,
            };
            if is_same {
                found.push(record.index);
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [index] => Ok(Some(*index)),
            several => {
                let named: Vec<String> =
                    several.iter().take(MAX_NAMED).map(usize::to_string).collect();
                let more = if several.len() > MAX_NAMED { ", ..." } else { "" };
                let named = named.join(", ");
                let reason = format!(
                    "expected an id of one query, got {id:?}, which {} have; name one by its index: {named}{more}",
                    several.len()
                );
                Err(Error::input(self.path.display(), reason))
            }
        }
    }

    /// What came of one query.
    ///
    /// # Errors
    /// [`Error::NoResult`] if the results do not have it, and those of [`results`](Self::results).
    pub fn result(&self, index: usize) -> Result<ResultRecord, Error> {
        let mut found = 0;
        for record in self.results()? {
            let record = record?;
            if record.index == index {
                return Ok(record);
            }
            found = record.index + 1;
        }
        let queries = self.config.data.queries;
        Err(Error::NoResult { path: self.path.clone(), index, queries, found })
    }
}
