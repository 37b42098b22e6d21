//! Execution of a run: searches a batch of queries, journals every step, and writes the results.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use derive_setters::Setters;
use textgrad_ops::CancellationToken;

use super::config::RunConfig;
use super::folder::RunFolder;
use super::results::{ResultRecord, ResultsWriter};
use crate::batch::{Batch, BatchProgress, QueryOutcome};
use crate::error::Error;
use crate::query::Query;
use crate::search::Tpo;
use crate::summary::Summary;

/// Searches many queries, as `tpo run` does: results in the order of the queries, one failed query reported and not
/// fatal, and with a folder every finished step journaled, so that [`Run::resume`] continues
/// a run that was cancelled or killed.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::sim::Sim;
/// use tpo::run::Run;
/// use tpo::{SimReward, Tpo};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).iterations(1).build()?;
/// let queries = ["Why is the sky blue?", "How do I boil an egg?"];
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("first");
/// let report = Run::new(tpo, queries).create(&path).concurrency(8).execute(&mut ()).await?;
/// assert_eq!((report.summary.succeeded, report.is_complete()), (2, true));
/// assert_eq!(report.results, Some(path.join("results.jsonl")));
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Setters)]
#[must_use]
#[setters(generate = false)]
pub struct Run {
    tpo: Tpo,
    queries: Vec<Query>,
    /// The source of the queries, such as a file name, for the record. Default: `memory`.
    #[setters(generate, into)]
    source: String,
    target: Option<Target>,
    /// The number of queries that are searched at the same time, at least 1. Default: 16.
    #[setters(generate)]
    concurrency: usize,
    /// Cancels the run when the token is cancelled: no call is begun, and running calls finish and are journaled.
    #[setters(generate)]
    cancellation: CancellationToken,
    /// Ends the run when the token is cancelled, without waiting for running calls.
    #[setters(generate)]
    abort: CancellationToken,
}

/// The folder of the run.
#[derive(Debug)]
enum Target {
    Create(PathBuf),
    Resume(PathBuf),
    Extend(PathBuf),
    Open(RunFolder),
}

/// Receives the events of a run. `()` ignores them.
pub trait RunObserver {
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

    async fn add(
        &mut self,
        outcome: QueryOutcome,
        writer: &mut Option<ResultsWriter>,
        observer: &mut dyn RunObserver,
        cancel: &CancellationToken,
    ) {
        match outcome.result {
            Err(failure) if matches!(failure.error, Error::Stopped) => return,
            Err(failure) if matches!(failure.error, Error::JournalWrite { .. }) => {
                cancel.cancel();
                self.error.get_or_insert(failure.error);
                return;
            }
            _ => {}
        }
        self.summary.add(&outcome);
        let record = ResultRecord::new(&outcome, self.summary.simulated);
        observer.finished(&record);
        match writer.take() {
            Some(mut open) => match open.write(&record).await {
                Ok(()) => *writer = Some(open),
                // Running calls are paid for: they finish, and are journaled.
                Err(error) => {
                    cancel.cancel();
                    self.error.get_or_insert(error);
                }
            },
            None if self.error.is_none() => self.records.push(record),
            None => {}
        }
    }
}

impl Run {
    /// A run of these queries without a folder, 16 at a time.
    pub fn new<Q: Into<Query>>(tpo: Tpo, queries: impl IntoIterator<Item = Q>) -> Self {
        Self {
            tpo,
            queries: queries.into_iter().map(Into::into).collect(),
            source: "memory".to_owned(),
            target: None,
            concurrency: 16,
            cancellation: CancellationToken::new(),
            abort: CancellationToken::new(),
        }
    }

    /// Writes a new run into this folder; see [`RunFolder::create`].
    pub fn create(mut self, folder: impl Into<PathBuf>) -> Self {
        self.target = Some(Target::Create(folder.into()));
        self
    }

    /// Continues the run in this folder; see [`RunFolder::resume`].
    pub fn resume(mut self, folder: impl Into<PathBuf>) -> Self {
        self.target = Some(Target::Resume(folder.into()));
        self
    }

    /// Continues the run in this folder with more iterations or queries; see [`RunFolder::extend`].
    pub fn extend(mut self, folder: impl Into<PathBuf>) -> Self {
        self.target = Some(Target::Extend(folder.into()));
        self
    }

    /// Writes into a folder that is open.
    pub fn open(mut self, folder: RunFolder) -> Self {
        self.target = Some(Target::Open(folder));
        self
    }

    /// Searches the queries. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// Those of opening the folder. A later error is [`RunReport::error`]: what was found until then is in the report.
    pub async fn execute(self, observer: &mut dyn RunObserver) -> Result<RunReport, Error> {
        let Self { tpo, queries, source, target, concurrency, cancellation: cancel, abort } = self;
        let config = || RunConfig::new(&tpo, &source, &queries);
        let folder = match target {
            None => None,
            Some(Target::Create(path)) => Some(RunFolder::create(&path, &config()).await?),
            Some(Target::Resume(path)) => Some(RunFolder::resume(&path, &config()).await?),
            Some(Target::Extend(path)) => {
                Some(RunFolder::extend(&path, &config(), &queries).await?)
            }
            Some(Target::Open(folder)) => Some(folder),
        };
        let total = queries.len();
        let mut batch =
            Batch::new(tpo.clone(), queries).concurrency(concurrency).cancellation(cancel.clone());
        batch = batch.keep_graphs(false);
        let (mut writer, mut journaled_steps) = (None, 0);
        if let Some(folder) = &folder {
            batch = batch.journal(folder.journal().clone());
            writer = Some(folder.results().await?);
            journaled_steps = folder.journal().known_steps();
        }
        observer.started(&RunStart {
            tpo: &tpo,
            source: &source,
            queries: total,
            folder: folder.as_ref().map(RunFolder::path),
            journaled_steps,
            progress: batch.progress(),
        });

        let begun = Instant::now();
        let mut report = RunReport {
            folder,
            summary: Summary::new(tpo.is_simulation()),
            queries: total,
            journaled_steps,
            cancelled: false,
            results: None,
            records: Vec::new(),
            error: None,
        };
        loop {
            tokio::select! {
                outcome = batch.next() => match outcome {
                    Some(outcome) => report.add(outcome, &mut writer, observer, &cancel).await,
                    None => break,
                },
                () = abort.cancelled() => {
                    report.cancelled = true;
                    break;
                }
            }
        }
        report.cancelled |= cancel.is_cancelled() && report.error.is_none();
        report.summary = report.summary.finish(begun.elapsed(), concurrency);
        if let Some(writer) = writer {
            match writer.finish().await {
                Ok(path) => report.results = Some(path),
                Err(error) => report.error = report.error.or(Some(error)),
            }
        }
        Ok(report)
    }
}
