//! Workers: searches of the queries that a coordinator offers.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Batch;
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt;
use serde::Serialize;
use textgrad_core::EngineError;
use textgrad_ops::CancellationToken;
use textgrad_ops::layer::of_age;
use tokio::task::JoinSet;

use super::address::{QueueAddress, may_pass};
use super::entry::{EntryKind, ReadQuery};
use super::held::RunMessage;
use super::log::{Attempts, LogError, QueueLog};
use super::recorder::Recorder;
use crate::batch::QueryOutcome;
use crate::error::Error;
use crate::journal::{QueryJournal, StepSink};
use crate::run::{ResultRecord, RunConfig};
use crate::search::{AlignError, Tpo, Trajectory};
use crate::session::Session;

/// A query is given up after so many deliveries in a row without a step.
const MAX_FRUITLESS: u32 = 5;
/// How long one request for queries waits for the first.
const PULL: Duration = Duration::from_secs(1);
/// A query whose search failed by a passing fault is delivered again after so long.
const PAUSE: Duration = Duration::from_secs(2);

/// A worker of a run. It searches queries with the search settings of the run and with engines of its own.
pub struct Worker {
    log: Arc<QueueLog>,
    run: RunMessage,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// What a worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkerReport {
    /// Queries that it searched to their end, failed ones included.
    pub queries: u64,
    /// Queries that it was searching when they were given to another worker.
    pub lost: u64,
    /// Queries that it gave back: it was stopped, or a server of it failed.
    pub given_back: u64,
}

/// What became of a delivery.
enum Delivery {
    Done,
    Lost,
    GivenBack,
    /// Another worker was faster, or the query was finished before.
    Nothing,
    RunIsOver,
}

impl Worker {
    /// Joins the run at an address; waits for server and run, which may begin later, for as long as `patience`.
    ///
    /// # Errors
    /// [`Error::Queue`] if there is no run by then, [`Error::Stopped`] after a cancellation.
    pub async fn join(
        address: &QueueAddress,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<Self, Error> {
        let joined = async {
            let log = loop {
                match QueueLog::connect(address).await {
                    Ok(log) => break log,
                    Err(error) if may_pass(&error) => {
                        tracing::info!("waiting for the server: {}", crate::describe(&error));
                    }
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(PULL).await;
            };
            let subject = log.subject("run");
            loop {
                let run = match log.is_gone().await {
                    true => None,
                    false => log.last(&subject, cancel).await.ok().flatten(),
                };
                if let Some(run) = run {
                    let run = serde_json::from_slice(&run.payload);
                    let run = run
                        .map_err(|error| address.failed("expected the settings of a run", error))?;
                    return Ok(Self { log: Arc::new(log), run });
                }
                tokio::time::sleep(PULL).await;
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Stopped),
            joined = tokio::time::timeout(patience, joined) => joined.unwrap_or_else(|_| {
                let reason = format!("expected a run within {} s, got none", patience.as_secs());
                Err(Error::Queue { name: address.to_string(), reason, source: None })
            }),
        }
    }

    /// The settings of the run.
    #[must_use]
    pub fn config(&self) -> &RunConfig {
        &self.run.config
    }

    /// The name of the worker in summaries.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.log.process
    }

    /// Searches queries, so many at a time, until the run is over or the token is cancelled: then no call is begun,
    /// running calls finish and are recorded, and the queries are given back. `abort` ends it at once.
    ///
    /// # Errors
    /// [`Error::Queue`] if the settings of `tpo` are not those of the run.
    pub async fn work(
        self,
        tpo: Tpo,
        concurrency: usize,
        cancel: CancellationToken,
        abort: CancellationToken,
    ) -> Result<WorkerReport, Error> {
        self.check(&tpo)?;
        let search =
            Arc::new(Search { tpo, log: self.log, ack_wait: self.run.ack_wait(), cancel, abort });
        let mut report = WorkerReport::default();
        let mut tasks: JoinSet<Delivery> = JoinSet::new();
        let (mut consumer, mut batch) = (None, None);
        let concurrency = concurrency.max(1);
        let is_ending = || search.cancel.is_cancelled() || search.abort.is_cancelled();
        loop {
            // What was asked for arrives here, or is delivered to another only after its time.
            if batch.is_none() && is_ending() {
                break;
            }
            if batch.is_none() && tasks.len() < concurrency {
                match search.pull(&mut consumer, concurrency - tasks.len()).await {
                    Ok(pulled) => batch = Some(pulled),
                    Err(LogError::Gone) => break,
                    Err(LogError::Stopped | LogError::Fenced) => continue,
                }
            }
            let message = async {
                match &mut batch {
                    Some(batch) => {
                        tokio::time::timeout(3 * PULL, batch.next()).await.ok().flatten()
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = message => match message {
                    Some(Ok(message)) if is_ending() => drop(message.ack_with(AckKind::Nak(None)).await),
                    Some(Ok(message)) => {
                        let search = Arc::clone(&search);
                        tasks.spawn(async move { search.deliver(message).await });
                    }
                    // The streams of a run that is over are not there any more.
                    Some(Err(_)) => (batch, consumer) = (None, None),
                    None => batch = None,
                },
                Some(delivery) = tasks.join_next() => {
                    if report.count(delivery) {
                        break;
                    }
                }
            }
        }
        loop {
            tokio::select! {
                biased;
                () = search.abort.cancelled() => break,
                delivery = tasks.join_next() => match delivery {
                    Some(delivery) => drop(report.count(delivery)),
                    None => break,
                }
            }
        }
        Ok(report)
    }

    fn check(&self, tpo: &Tpo) -> Result<(), Error> {
        let run = &self.run.config;
        let own = RunConfig {
            data: run.data.clone(),
            shard: run.shard,
            ..RunConfig::new(tpo, &run.data.source, &[])
        };
        let differences = own.differences(&run.to_json()?);
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Error::Queue {
                name: self.log.address().to_string(),
                reason: format!(
                    "expected the settings of the run, got others: {}",
                    differences.join("; ")
                ),
                source: None,
            }),
        }
    }
}

impl WorkerReport {
    /// Counts a delivery; returns whether the run is over.
    fn count(&mut self, delivery: Result<Delivery, tokio::task::JoinError>) -> bool {
        match delivery {
            Ok(Delivery::Done) => self.queries += 1,
            Ok(Delivery::Lost) => self.lost += 1,
            Ok(Delivery::GivenBack) => self.given_back += 1,
            Ok(Delivery::RunIsOver) => return true,
            Ok(Delivery::Nothing) | Err(_) => {}
        }
        false
    }
}

/// What all deliveries to a worker share.
struct Search {
    tpo: Tpo,
    log: Arc<QueueLog>,
    ack_wait: Duration,
    cancel: CancellationToken,
    abort: CancellationToken,
}

impl Search {
    /// Asks for up to so many queries.
    async fn pull(
        &self,
        consumer: &mut Option<PullConsumer>,
        most: usize,
    ) -> Result<Batch, LogError> {
        let mut attempts = Attempts::new(&self.log, &self.cancel);
        loop {
            let error = match consumer {
                None => match self.log.workers().await {
                    Ok(found) => {
                        *consumer = Some(found);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Some(found) => {
                    match found.batch().max_messages(most).expires(PULL).messages().await {
                        Ok(batch) => return Ok(batch),
                        Err(error) => error.to_string(),
                    }
                }
            };
            *consumer = None;
            attempts.again(&error).await?;
        }
    }

    /// Searches a query, with signs of life while that lasts.
    async fn deliver(&self, message: Message) -> Delivery {
        let Some(index) = QueueLog::query_of(&message.subject) else { return Delivery::Nothing };
        let alive = async {
            loop {
                tokio::time::sleep(self.ack_wait / 3).await;
                // One that does not arrive is made up for by the next.
                let _ = message.ack_with(AckKind::Progress).await;
            }
        };
        tokio::select! {
            delivery = self.search(index, &message) => delivery.unwrap_or_else(|error| match error {
                LogError::Gone => Delivery::RunIsOver,
                LogError::Fenced => Delivery::Nothing,
                LogError::Stopped => Delivery::GivenBack,
            }),
            () = alive => Delivery::Nothing,
        }
    }

    async fn search(&self, index: usize, message: &Message) -> Result<Delivery, LogError> {
        let subject = self.log.log_of(index);
        let (entries, last) = self.log.read(&subject, &self.cancel).await?;
        let read = match ReadQuery::of(&entries) {
            Ok(Some(read)) if !read.is_done => read,
            Ok(_) => {
                self.done(message).await;
                return Ok(Delivery::Nothing);
            }
            Err(reason) => {
                tracing::error!("the log of query {index} cannot be read: {reason}");
                return Ok(Delivery::Nothing);
            }
        };
        drop(entries);
        let last =
            self.log.append(&subject, last, EntryKind::Claim, Vec::new(), &self.cancel).await?;
        let recorder = Recorder::start(Arc::clone(&self.log), subject, last, self.abort.clone());
        let ReadQuery { query, donor, records, fruitless, .. } = read;
        let is_last = fruitless + 1 >= MAX_FRUITLESS;
        let result = if fruitless >= MAX_FRUITLESS {
            let message = format!(
                "given up after {fruitless} deliveries without a step: no worker came to its end"
            );
            let error =
                EngineError::new(textgrad_core::ErrorKind::Other, message).with_retryable(false);
            Err(AlignError { error: error.into(), trajectory: Trajectory::default() })
        } else {
            let sink = StepSink::Queue(recorder.clone());
            let journal = QueryJournal::new(index, Some(sink), records);
            let session = Session::new(Some(journal), self.cancel.clone()).without_graph();
            let search = self.tpo.align_in(index, query.clone(), donor, session);
            of_age(index as u64, search).await
        };
        if recorder.is_fenced() {
            return Ok(Delivery::Lost);
        }
        if let Err(failure) = &result {
            let is_passing = failure.error.is_retryable() && !is_last;
            if matches!(failure.error, Error::Stopped) || self.cancel.is_cancelled() {
                return Ok(self.give_back(&recorder, message, None).await);
            }
            if matches!(failure.error, Error::JournalWrite { .. }) {
                return Ok(Delivery::RunIsOver);
            }
            if is_passing {
                tracing::warn!("query {index} is given back: {}", crate::describe(&failure.error));
                // It counts as fruitless, so that a query whose every search fails comes to an end.
                let _ = message.ack_with(AckKind::Nak(Some(PAUSE))).await;
                return Ok(Delivery::GivenBack);
            }
        }
        let outcome = QueryOutcome { index, query, result };
        let record = ResultRecord::from_outcome(outcome, self.tpo.is_simulation());
        let Ok(mut line) = serde_json::to_vec(&record) else { return Ok(Delivery::Nothing) };
        line.push(b'\n');
        if recorder.add(EntryKind::Result, line).await.is_err() {
            return Ok(if recorder.is_fenced() { Delivery::Lost } else { Delivery::RunIsOver });
        }
        self.done(message).await;
        Ok(Delivery::Done)
    }

    /// Acknowledges a query whose result is in the log. If that is lost, it is delivered once more.
    async fn done(&self, message: &Message) {
        if let Err(error) = message.double_ack().await {
            tracing::debug!("a finished query may be delivered again: {error}");
        }
    }

    /// Gives a query back that this worker still has.
    async fn give_back(
        &self,
        recorder: &Recorder,
        message: &Message,
        pause: Option<Duration>,
    ) -> Delivery {
        if recorder.add(EntryKind::Release, Vec::new()).await.is_err() {
            return Delivery::Lost;
        }
        let _ = message.double_ack_with(AckKind::Nak(pause)).await;
        Delivery::GivenBack
    }
}
