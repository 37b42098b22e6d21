//! Batches of queries.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use derive_setters::Setters;
use parking_lot::Mutex;
use textgrad_ops::CancellationToken;
use textgrad_ops::layer::of_age;
use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

use crate::error::Error;
use crate::journal::{Journal, QueryJournal};
use crate::query::Query;
use crate::search::{
    AlignError, Alignment, DonorQuery, SearchEvent, SearchObserver, Tpo, Trajectory,
};
use crate::session::Session;

/// The maximum number of queries that a batch starts ahead of the oldest unfinished one; their outcomes wait in
/// memory.
const MAX_AHEAD: usize = 1024;

/// The outcome of one query of a batch.
#[derive(Debug)]
pub struct QueryOutcome {
    /// The index of the query in the batch, from 0.
    pub index: usize,
    /// The query.
    pub query: Query,
    /// The answer, or the failure.
    pub result: Result<Alignment, AlignError>,
}

/// The progress of a batch, to be read while it runs.
#[derive(Debug, Default)]
pub struct BatchProgress {
    finished: AtomicUsize,
    failed: AtomicUsize,
    workers: Mutex<Option<usize>>,
}

impl BatchProgress {
    /// Queries that are over: done, failed, or stopped.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// Counts a query that is over.
    pub(crate) fn add(&self, is_failed: bool) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(usize::from(is_failed), Ordering::Relaxed);
    }

    /// Workers that have a query, in a run that workers search.
    #[must_use]
    pub fn workers(&self) -> Option<usize> {
        *self.workers.lock()
    }

    #[cfg(feature = "queue")]
    pub(crate) fn set_workers(&self, workers: usize) {
        *self.workers.lock() = Some(workers);
    }

    /// Queries that failed; those that were only stopped did not.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Searches many queries, a bounded number at a time, with results in the order of the queries. A failed query is
/// reported and not fatal. It must be used within a tokio runtime. Dropping it ends all running searches.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::sim::Sim;
/// use tpo::{Batch, SimReward, Tpo};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).build()?;
/// let queries = ["Why is the sky blue?", "How do I boil an egg?"];
/// let mut batch = Batch::new(tpo, queries).concurrency(8);
/// while let Some(outcome) = batch.next().await {
///     match outcome.result {
///         Ok(aligned) => println!("{}: {}", outcome.index, aligned.answer()),
///         Err(failure) => println!("{}: {failure}", outcome.index),
///     }
/// }
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Setters)]
#[must_use]
#[setters(generate = false)]
pub struct Batch {
    pub(crate) tpo: Tpo,
    pub(crate) queries: Vec<Query>,
    /// The indices of the queries that are searched, in order. The other figures count positions in this list.
    pub(crate) order: Vec<usize>,
    /// The number of queries that are searched at the same time, at least 1. Default: 64.
    #[setters(generate)]
    pub(crate) concurrency: usize,
    /// Journals every finished step, and takes steps from the journal instead of repeating them.
    #[setters(generate, strip_option)]
    pub(crate) journal: Option<Journal>,
    /// Ends the batch when the token is cancelled: no call is begun, and running calls finish. Unfinished queries
    /// then have the outcome [`Error::Stopped`], or none if they were not begun.
    #[setters(generate)]
    pub(crate) cancellation: CancellationToken,
    /// Whether outcomes keep the graph of their search, which is most of their memory. Default: true.
    #[setters(generate)]
    keep_graphs: bool,
    observer: Option<SearchObserver>,
    pub(crate) progress: Arc<BatchProgress>,
    tasks: JoinSet<(usize, Result<Alignment, AlignError>)>,
    positions: HashMap<Id, usize>,
    started: usize,
    handed_out: usize,
    waiting: BTreeMap<usize, Result<Alignment, AlignError>>,
}

impl Batch {
    /// A batch of these queries, 64 at a time.
    pub fn new<Q: Into<Query>>(tpo: Tpo, queries: impl IntoIterator<Item = Q>) -> Self {
        let queries: Vec<Query> = queries.into_iter().map(Into::into).collect();
        Self {
            tpo,
            order: (0..queries.len()).collect(),
            queries,
            concurrency: 64,
            journal: None,
            cancellation: CancellationToken::new(),
            keep_graphs: true,
            observer: None,
            progress: Arc::default(),
            tasks: JoinSet::new(),
            positions: HashMap::new(),
            started: 0,
            handed_out: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Searches only the queries with these indices, in this order, after so many that are finished.
    pub(crate) fn only(mut self, order: Vec<usize>, finished: usize) -> Self {
        self.progress.finished.store(finished, Ordering::Relaxed);
        self.order = order;
        self
    }

    /// Reports every answer as soon as it is scored, from all searches. The observer must not block.
    pub fn on_scored(self, observer: impl Fn(&SearchEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observed(Some(SearchObserver::new(observer)))
    }

    pub(crate) fn observed(mut self, observer: Option<SearchObserver>) -> Self {
        self.observer = observer;
        self
    }

    /// The progress, to be read while the batch runs.
    #[must_use]
    pub fn progress(&self) -> Arc<BatchProgress> {
        Arc::clone(&self.progress)
    }

    /// The next outcome, in the order of the queries; `None` when there are no more.
    ///
    /// Cancel safe: no outcome is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<QueryOutcome> {
        loop {
            if let Some(result) = self.waiting.remove(&self.handed_out) {
                let index = self.order.get(self.handed_out).copied()?;
                self.handed_out += 1;
                let query = self.queries.get(index).cloned()?;
                return Some(QueryOutcome { index, query, result });
            }
            self.start_more();
            match self.tasks.join_next_with_id().await? {
                Ok((id, (position, result))) => {
                    self.positions.remove(&id);
                    self.finish(position, result);
                }
                Err(error) => {
                    // Searches catch panics themselves; this is one that was aborted from outside.
                    let Some(position) = self.positions.remove(&error.id()) else { continue };
                    let error = Error::Panic { message: "its task was ended".to_owned() };
                    let trajectory = Trajectory::default();
                    self.finish(position, Err(AlignError { error, trajectory }));
                }
            }
        }
    }

    fn finish(&mut self, position: usize, result: Result<Alignment, AlignError>) {
        let is_failed = |failure: &AlignError| !matches!(failure.error, Error::Stopped);
        self.progress.add(result.as_ref().is_err_and(is_failed));
        self.waiting.insert(position, result);
    }

    fn start_more(&mut self) {
        let concurrency = self.concurrency.max(1);
        while self.tasks.len() < concurrency
            && self.started < self.order.len()
            && self.started - self.handed_out < concurrency + MAX_AHEAD
            && !self.cancellation.is_cancelled()
        {
            let position = self.started;
            let Some(&index) = self.order.get(position) else { return };
            let Some(query) = self.queries.get(index).cloned() else { return };
            let donor = self.tpo.donor(index, &self.queries);
            let (tpo, journal, cancel) =
                (self.tpo.clone(), self.journal.clone(), self.cancellation.clone());
            let (keep_graph, observer) = (self.keep_graphs, self.observer.clone());
            let task = async move {
                let session = move |journal| {
                    let session = match Session::new(journal, cancel) {
                        session if keep_graph => session,
                        session => session.without_graph(),
                    };
                    match observer {
                        Some(observer) => session.observed(observer),
                        None => session,
                    }
                };
                let search = search(tpo, journal, session, index, query, donor);
                let mut result = of_age(index as u64, search).await;
                if !keep_graph && let Ok(aligned) = &mut result {
                    aligned.forget_graph();
                }
                (position, result)
            };
            let task = self.tasks.spawn(task.in_current_span());
            self.positions.insert(task.id(), position);
            self.started += 1;
        }
    }
}

async fn search(
    tpo: Tpo,
    journal: Option<Journal>,
    session: impl FnOnce(Option<QueryJournal>) -> Session,
    index: usize,
    query: Query,
    donor: Option<DonorQuery>,
) -> Result<Alignment, AlignError> {
    let journal = match journal {
        None => None,
        Some(journal) => match journal.query(index).await {
            Ok(journal) => Some(journal),
            Err(error) => return Err(AlignError { error, trajectory: Trajectory::default() }),
        },
    };
    tpo.align_in(index, query, donor, session(journal)).await
}
