//! The folder of a run, read only.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use textgrad_ops::util::jsonl::Reader;

use super::config::RunConfig;
use super::results::ResultRecord;
use crate::error::Error;
use crate::journal::SCHEMA;
use crate::query::Query;
use crate::truncate::Tokenizer;

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
    tokenizer: Option<Arc<dyn Tokenizer>>,
}

impl RecordedRun {
    /// Reads the settings of the run in a folder.
    ///
    /// # Errors
    /// [`Error::NotARun`] if there are none, [`Error::Io`] if they cannot be read, [`Error::Record`] if they
    /// cannot be understood.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let file = path.join("config.json");
        let text = std::fs::read_to_string(&file).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NotARun { path: path.clone() },
            _ => Error::io(&file, "cannot be read")(error),
        })?;
        let wrong = |reason| Error::Record { path: file.clone(), line: 1, reason };
        let config: RunConfig =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        match config.schema {
            SCHEMA => Ok(Self { path, config, tokenizer: None }),
            other => Err(wrong(format!("expected schema {SCHEMA}, got {other}"))),
        }
    }

    /// Gives it the tokenizer by which the run cut answers, without which no such search can be repeated.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Arc<dyn Tokenizer>) -> Self {
        self.tokenizer = Some(tokenizer);
        self
    }

    pub(super) fn tokenizer(&self) -> Option<&Arc<dyn Tokenizer>> {
        self.tokenizer.as_ref()
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
        self.path.join("journal.jsonl")
    }

    /// What came of the queries, one after the other, in their order.
    ///
    /// # Errors
    /// [`Error::NoResults`] if there are none: the run is not over, or was killed. [`Error::Io`] if they cannot be
    /// read.
    pub fn results(&self) -> Result<ResultsReader, Error> {
        let path = self.path.join("results.jsonl");
        let file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NoResults { path: self.path.clone() },
            _ => Error::io(&path, "cannot be read")(error),
        })?;
        Ok(ResultsReader { path, reader: Reader::new(BufReader::new(file)), over: false })
    }

    /// The queries, in their order.
    pub(super) fn queries(&self) -> Result<Vec<Query>, Error> {
        self.results()?.map(|record| Ok(record?.query)).collect()
    }

    /// What came of one query.
    ///
    /// # Errors
    /// [`Error::NoResult`] if the results do not have it, and those of [`results`](Self::results).
    pub fn result(&self, index: usize) -> Result<ResultRecord, Error> {
        for record in self.results()? {
            let record = record?;
            if record.index == index {
                return Ok(record);
            }
        }
        let queries = self.config.data.queries;
        Err(Error::NoResult { path: self.path.clone(), index, queries })
    }
}

/// The lines of `results.jsonl`, read one at a time.
#[derive(Debug)]
pub struct ResultsReader {
    path: PathBuf,
    reader: Reader<BufReader<File>>,
    over: bool,
}

impl ResultsReader {
    fn read(&mut self) -> Result<Option<ResultRecord>, Error> {
        let read = self.reader.next_line().map_err(Error::io(&self.path, "cannot be read"))?;
        let (number, record) = match read {
            Some(line) => (line.number, line.parse::<ResultRecord>()),
            // The file is replaced as a whole, so a last line without a newline was edited by hand.
            None => match self.reader.torn() {
                Some(text) => {
                    self.over = true;
                    (self.reader.number() + 1, serde_json::from_slice(text))
                }
                None => return Ok(None),
            },
        };
        let wrong = |reason| Error::Record { path: self.path.clone(), line: number, reason };
        let record = record.map_err(|error| wrong(error.to_string()))?;
        match record.schema {
            SCHEMA => Ok(Some(record)),
            other => Err(wrong(format!("expected schema {SCHEMA}, got {other}"))),
        }
    }
}

impl Iterator for ResultsReader {
    type Item = Result<ResultRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.read().transpose();
        self.over |= !matches!(next, Some(Ok(_)));
        next
    }
}
