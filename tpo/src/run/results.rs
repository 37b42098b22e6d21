//! Results of a run: `results.jsonl`.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use textgrad_core::describe;
use textgrad_ops::util::fs::{blocking, partial_path, persist};
use textgrad_ops::util::jsonl::Reader;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::batch::QueryOutcome;
use crate::error::Error;
use crate::journal::SCHEMA;
use crate::query::Query;
use crate::search::{CandidateRecord, Trajectory};
use crate::util::open_existing;

/// Bytes that are written at a time: each write is handed to another thread.
const BUFFER: usize = 256 * 1024;

/// A line of `results.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// The version of the format.
    pub schema: u32,
    /// The place of the query, from 0.
    pub index: usize,
    /// The query.
    pub query: Query,
    /// The other fields of the record that the query was read from, such as an id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Json>,
    /// Whether the search came to its end.
    pub status: Status,
    /// Whether any part of it is simulated.
    pub simulated: bool,
    /// The best answer; for a failed search the best that it had, if it had any.
    pub best: Option<CandidateRecord>,
    /// What went wrong, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
    /// Everything that happened.
    pub trajectory: Trajectory,
}

/// Whether a search came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It did.
    Ok,
    /// It did not.
    Error,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// The class.
    pub kind: String,
    /// What was expected, what came, and what to do.
    pub message: String,
}

impl ResultRecord {
    /// What came of a query.
    #[must_use]
    pub fn new(outcome: &QueryOutcome, simulated: bool) -> Self {
        let (trajectory, error) = match &outcome.result {
            Ok(aligned) => (aligned.trajectory().clone(), None),
            Err(failure) => (failure.trajectory.clone(), Some(&failure.error)),
        };
        Self::of_parts(outcome.index, &outcome.query, trajectory, error, simulated)
    }

    /// What came of a query, with the texts of the outcome instead of copies.
    pub(crate) fn from_outcome(outcome: QueryOutcome, simulated: bool) -> Self {
        let QueryOutcome { index, query, result } = outcome;
        let (trajectory, error) = match result {
            Ok(aligned) => (aligned.trajectory, None),
            Err(failure) => (failure.trajectory, Some(failure.error)),
        };
        Self::of_parts(index, &query, trajectory, error.as_ref(), simulated)
    }

    fn of_parts(
        index: usize,
        query: &Query,
        trajectory: Trajectory,
        error: Option<&Error>,
        simulated: bool,
    ) -> Self {
        Self {
            schema: SCHEMA,
            index,
            query: query.clone(),
            fields: query.fields().clone(),
            status: if error.is_some() { Status::Error } else { Status::Ok },
            simulated,
            best: trajectory.best().cloned(),
            error: error.map(|error| ErrorRecord {
                kind: error.kind().to_owned(),
                message: describe(error),
            }),
            trajectory,
        }
    }
}

/// Writes `results.jsonl` beside its place and puts it there at the end, so that no line of a file that is
/// there is torn. After an interruption it has the queries that were done.
#[derive(Debug)]
pub struct ResultsWriter {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
}

impl ResultsWriter {
    pub(super) async fn create(path: &Path) -> Result<Self, Error> {
        let partial = partial_path(path);
        let file =
            File::create(&partial).await.map_err(Error::io(&partial, "cannot be created"))?;
        Ok(Self { path: path.to_owned(), partial, file: BufWriter::with_capacity(BUFFER, file) })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub async fn write(&mut self, record: &ResultRecord) -> Result<(), Error> {
        let line = self.line(record)?;
        self.write_line(&line).await
    }

    /// A record as a line.
    pub(super) fn line(&self, record: &ResultRecord) -> Result<Vec<u8>, Error> {
        let mut line = serde_json::to_vec(record).map_err(|error| self.failed(error.into()))?;
        line.push(b'\n');
        Ok(line)
    }

    pub(super) async fn write_line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.file.write_all(line).await.map_err(|error| self.failed(error))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub async fn finish(mut self) -> Result<PathBuf, Error> {
        self.file.flush().await.map_err(|error| self.failed(error))?;
        let file = self.file.get_ref().try_clone().await.map_err(|error| self.failed(error))?;
        let file = file.into_std().await;
        let (partial, path) = (self.partial.clone(), self.path.clone());
        let done = blocking(move || persist(&file, &partial, &path)).await;
        done.map_err(|error| self.failed(error))?;
        Ok(self.path)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::io(&self.partial, "cannot be written")(source)
    }
}

/// The index of a line of results, or of requests of a served run.
#[derive(Deserialize)]
pub(super) struct Indexed {
    pub(super) index: usize,
}

/// The lines of `results.jsonl`, read one at a time.
#[derive(Debug)]
pub struct ResultsReader {
    path: PathBuf,
    reader: Reader<BufReader<fs::File>>,
    over: bool,
}

impl ResultsReader {
    pub(super) fn open(run: &Path) -> Result<Self, Error> {
        let path = run.join("results.jsonl");
        let reader = lines(run, &path)?;
        Ok(Self { path, reader, over: false })
    }

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

/// The lines of the results of a run.
pub(super) fn lines(run: &Path, path: &Path) -> Result<Reader<BufReader<fs::File>>, Error> {
    let file = open_existing(path)?;
    let file = file.ok_or_else(|| Error::NoResults { path: run.to_owned() })?;
    Ok(Reader::new(BufReader::new(file)))
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
