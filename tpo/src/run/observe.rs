//! Beginning, progress and end of a run, for whoever watches it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::RunFolder;
use super::results::ResultRecord;
use crate::batch::BatchProgress;
use crate::error::Error;
use crate::search::Tpo;
use crate::summary::Summary;

/// Receives the events of a run. `()` ignores them. [`Run::on_scored`](super::Run::on_scored) tells of single answers.
pub trait RunObserver: Send {
    /// The folder is open, and the first query is about to be searched.
    fn started(&mut self, start: &RunStart<'_>) {
        let _ = start;
    }

    /// A query is finished, in the order of the queries.
    fn finished(&mut self, record: &ResultRecord) {
        let _ = record;
    }
}

impl RunObserver for () {}

/// A run at its start.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunStart<'a> {
    /// The search.
    pub tpo: &'a Tpo,
    /// The source of the queries.
    pub source: &'a str,
    /// The number of queries.
    pub queries: usize,
    /// The folder, if there is one.
    pub folder: Option<&'a Path>,
    /// Steps in the journal of an earlier attempt.
    pub journaled_steps: usize,
    /// The progress, to be read while the run goes on.
    pub progress: Arc<BatchProgress>,
}

/// A run at its end.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunReport {
    /// The folder, still locked against other processes.
    pub folder: Option<RunFolder>,
    /// The figures.
    pub summary: Summary,
    /// The number of queries.
    pub queries: usize,
    /// Steps that were in the journal of an earlier attempt.
    pub journaled_steps: usize,
    /// Whether the run was cancelled before its end.
    pub cancelled: bool,
    /// The file of results, if there is a folder.
    pub results: Option<PathBuf>,
    /// The results, if there is no folder.
    pub records: Vec<ResultRecord>,
    /// The error that ended the run: the journal or the results could not be written.
    pub error: Option<Error>,
}

impl RunReport {
    /// Whether every query was searched to its end, failed or not.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.error.is_none() && !self.cancelled
    }
}
