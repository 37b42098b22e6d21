//! Execution of a run: searches a batch of queries, journals every step, and writes the results.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use derive_setters::Setters;
use textgrad_ops::CancellationToken;
use textgrad_ops::util::fs::blocking;
use textgrad_ops::util::jsonl::crc32c;
use tracing::{Instrument as _, info_span};

use super::config::RunConfig;
use super::finished::{FinishedLine, FinishedResults};
use super::folder::RunFolder;
use super::observe::{RunObserver, RunReport, RunStart};
use super::results::{ResultRecord, ResultsWriter, Status};
use super::searches::{Searched, Searches};
use super::shard::Shard;
use crate::batch::{Batch, QueryOutcome};
use crate::error::Error;
use crate::query::Query;
#[cfg(feature = "queue")]
use crate::queue::{Coordinator, HeldQueue, QueueOptions};
use crate::search::{SearchEvent, SearchObserver, Tpo};
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
    observer: Option<SearchObserver>,
    /// Searches only a part of the queries, which keep their places; [`merge`](super::merge) makes one run of all
    /// parts.
    #[setters(generate, strip_option)]
    shard: Option<Shard>,
    /// Has workers search the queries in place of this process: the run needs a folder, and `concurrency` is the number
    /// of queries that workers have at the same time.
    #[cfg(feature = "queue")]
    #[setters(generate, strip_option)]
    queue: Option<QueueOptions>,
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

/// What a run does with the outcomes of queries, in their order.
struct Collector<'a> {
    report: RunReport,
    /// None without a folder, where nothing is left to write, and after an error.
    writer: Option<ResultsWriter>,
    finished: FinishedResults,
    observer: &'a mut dyn RunObserver,
    cancel: CancellationToken,
}

impl Collector<'_> {
    async fn add(&mut self, outcome: QueryOutcome) {
        match outcome.result {
            Err(failure) if matches!(failure.error, Error::Stopped) => {
                self.report.summary.add_unfinished(&failure.trajectory);
                return;
            }
            Err(failure) if matches!(failure.error, Error::JournalWrite { .. }) => {
                return self.fail(failure.error);
            }
            _ => {}
        }
        self.add_finished(outcome.index).await;
        self.report.summary.add(&outcome);
        let record = ResultRecord::from_outcome(outcome, self.report.summary.simulated);
        self.observer.finished(&record);
        if self.report.folder.is_none() {
            self.report.records.push(record);
        } else if let Err(error) = self.write(&record).await {
            self.fail(error);
        }
    }

    /// Adds the finished queries of an earlier attempt up to an index.
    async fn add_finished(&mut self, below: usize) {
        while self.report.error.is_none() {
            let mut finished = std::mem::take(&mut self.finished);
            let take = move || finished.take(below).map(|lines| (finished, lines));
            let lines = match blocking(take).await {
                Ok((finished, lines)) => {
                    self.finished = finished;
                    lines
                }
                Err(error) => return self.fail(error),
            };
            if lines.is_empty() {
                return;
            }
            for FinishedLine { record, line } in lines {
                let (query, trajectory) = (record.query.text(), &record.trajectory);
                self.report.summary.add_finished(query, trajectory, Duration::ZERO);
                self.observer.finished(&record);
                if let Err(error) = self.write_line(&line).await {
                    return self.fail(error);
                }
            }
        }
    }

    /// Adds a result that a worker found.
    async fn add_recorded(&mut self, record: ResultRecord, line: &[u8]) {
        self.add_finished(record.index).await;
        let trajectory = &record.trajectory;
        match record.status {
            Status::Ok => {
                self.report.summary.add_finished(record.query.text(), trajectory, Duration::ZERO);
            }
            Status::Error => self.report.summary.add_failed(trajectory),
        }
        self.observer.finished(&record);
        if let Err(error) = self.write_result(&record, line).await {
            self.fail(error);
        }
    }

    async fn write(&mut self, record: &ResultRecord) -> Result<(), Error> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let line = writer.line(record)?;
        self.write_result(record, &line).await
    }

    /// Writes a result, and notes in the journal that the query is finished.
    async fn write_result(&mut self, record: &ResultRecord, line: &[u8]) -> Result<(), Error> {
        self.write_line(line).await?;
        match &self.report.folder {
            Some(folder) if record.status == Status::Ok => {
                folder.journal().finish(record.index, crc32c([line]))
            }
            _ => Ok(()),
        }
    }

    /// Writes a line of the results, if there are any to be written. After a failure there are none.
    async fn write_line(&mut self, line: &[u8]) -> Result<(), Error> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        writer.write_line(line).await?;
        self.writer = Some(writer);
        Ok(())
    }

    /// Ends the run. Running calls are paid for: they finish, and are journaled.
    fn fail(&mut self, error: Error) {
        self.cancel.cancel();
        self.report.error.get_or_insert(error);
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
            observer: None,
            shard: None,
            #[cfg(feature = "queue")]
            queue: None,
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

    /// Reports every answer as soon as it is scored, from all searches: [`RunObserver::finished`] tells of queries, in
    /// their order. Answers that the journal has are reported again, those of finished queries, and of workers at a
    /// queue, are not. The observer must not block.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::mpsc;
    /// use textgrad_ops::sim::Sim;
    /// use tpo::run::Run;
    /// use tpo::{SimReward, Tpo};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).iterations(1).build()?;
    /// let (sender, scores) = mpsc::channel();
    /// let run = Run::new(tpo, ["Why is the sky blue?", "How do I boil an egg?"])
    ///     .on_scored(move |event| sender.send((event.query, event.best_score)).unwrap_or_default());
    /// run.execute(&mut ()).await?;
    /// assert_eq!(scores.iter().filter(|(query, _)| *query == 1).count(), 10);
    /// # Ok::<(), tpo::Error>(()) }).unwrap();
    /// ```
    pub fn on_scored(
        mut self,
        observer: impl Fn(&SearchEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(SearchObserver::new(observer));
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
        let span = info_span!(
            "run",
            otel.name = %format_args!("run {}", self.tpo.config().mode),
            tpo.queries = i64::try_from(self.queries.len()).ok(),
        );
        self.search(observer).instrument(span).await
    }

    async fn search(self, observer: &mut dyn RunObserver) -> Result<RunReport, Error> {
        #[cfg(feature = "queue")]
        let queue = self.queue;
        let Self { tpo, queries, source, target, shard, concurrency, observer: scored, .. } = self;
        let (cancel, abort) = (self.cancellation, self.abort);
        tpo.check_queries(&queries)?;
        #[cfg(feature = "queue")]
        let is_resumed = matches!(target, Some(Target::Resume(_) | Target::Extend(_)));
        let config = || RunConfig { shard, ..RunConfig::new(&tpo, &source, &queries) };
        #[cfg(feature = "queue")]
        let queue = match queue {
            None => None,
            // Before the folder, which a run that is refused does not leave behind.
            Some(queue) => Some(HeldQueue::take(&queue, &config(), is_resumed, &cancel).await?),
        };
        let folder = match target {
            None => None,
            Some(Target::Create(path)) => Some(RunFolder::create(&path, &config()).await?),
            Some(Target::Resume(path)) => Some(RunFolder::resume(&path, &config()).await?),
            Some(Target::Extend(path)) => {
                Some(RunFolder::extend(&path, &config(), &queries).await?)
            }
            Some(Target::Open(folder)) => Some(folder),
        };
        let total = shard.map_or(queries.len(), |shard| shard.len(queries.len()));
        let end = queries.len();
        let mut batch = Batch::new(tpo.clone(), queries.clone()).concurrency(concurrency);
        batch = batch.cancellation(cancel.clone()).keep_graphs(false).observed(scored);
        let (mut writer, mut results, mut journaled_steps) = (None, None, 0);
        let mut finished = FinishedResults::default();
        if let Some(folder) = &folder {
            finished = folder.finished(&queries, shard).await?;
            batch = batch.journal(folder.journal().clone());
            match finished.is_whole {
                true => results = Some(folder.results_path()),
                false => writer = Some(folder.results().await?),
            }
            journaled_steps = folder.journal().known_steps();
        }
        let missing = finished.missing(shard, end);
        let done = total.saturating_sub(missing.len());
        batch = batch.only(missing, done);
        drop(queries);
        observer.started(&RunStart {
            tpo: &tpo,
            source: &source,
            queries: total,
            folder: folder.as_ref().map(RunFolder::path),
            journaled_steps,
            progress: batch.progress(),
        });

        let begun = Instant::now();
        #[cfg(feature = "queue")]
        let mut searches = match queue {
            None => Searches::Here(Box::new(batch)),
            Some(queue) => Searches::Queue(Box::new(Coordinator::begin(queue, batch).await?)),
        };
        #[cfg(not(feature = "queue"))]
        let mut searches = Searches::Here(Box::new(batch));
        let report = RunReport {
            folder,
            summary: Summary::new(tpo.is_simulation()),
            queries: total,
            journaled_steps,
            cancelled: false,
            results,
            records: Vec::new(),
            error: None,
        };
        let mut collector =
            Collector { report, writer, finished, observer, cancel: cancel.clone() };
        loop {
            tokio::select! {
                searched = searches.next() => match searched {
                    Ok(Some(Searched::Here(outcome))) => collector.add(*outcome).await,
                    Ok(Some(Searched::Recorded(record, line))) => {
                        collector.add_recorded(*record, &line).await;
                    }
                    Ok(None) => {
                        collector.add_finished(end).await;
                        break;
                    }
                    Err(error) => {
                        collector.fail(error);
                        break;
                    }
                },
                () = abort.cancelled() => {
                    collector.report.cancelled = true;
                    break;
                }
            }
        }
        let Collector { mut report, writer, .. } = collector;
        report.cancelled |= cancel.is_cancelled() && report.error.is_none();
        #[cfg(feature = "queue")]
        if let Searches::Queue(queue) = &searches {
            report.summary.queue = Some(queue.summary());
        }
        report.summary = report.summary.finish(begun.elapsed(), concurrency);
        if let Some(writer) = writer {
            match writer.finish().await {
                Ok(path) => report.results = Some(path),
                Err(error) => report.error = report.error.or(Some(error)),
            }
        }
        if let Err(error) = searches.end(report.is_complete()).await {
            report.error.get_or_insert(error);
        }
        Ok(report)
    }
}
