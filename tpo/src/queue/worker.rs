//! Workers: searches of the queries that a coordinator offers.

use std::fmt::Display;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use futures_util::StreamExt;
use serde::Serialize;
use textgrad_ops::CancellationToken;
use tokio::task::JoinSet;

use super::address::{QueueAddress, may_pass};
use super::delivery::{Delivery, PULL, Search};
use super::held::RunMessage;
use super::log::{GONE, LogError, QueueLog};
use crate::error::Error;
use crate::run::RunConfig;
use crate::search::Tpo;

/// A worker of a run. It searches queries with the search settings of the run and with engines of its own.
pub struct Worker {
    log: Arc<QueueLog>,
    run: RunMessage,
}

textgrad_core::debug_by!(Worker, name);

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

impl Worker {
    /// Joins the run at an address; waits for server and run, which may begin later, for as long as `patience` each.
    ///
    /// # Errors
    /// [`Error::Queue`] if there is no server or no run by then, [`Error::Stopped`] after a cancellation.
    pub async fn join(
        address: &QueueAddress,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let connected = async {
            loop {
                match QueueLog::connect(address).await {
                    Err(error) if may_pass(&error) && begun.elapsed() < patience => {
                        tracing::info!("waiting for the server: {}", crate::describe(&error));
                    }
                    connected => return connected,
                }
                tokio::time::sleep(PULL).await;
            }
        };
        let log = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Error::Stopped),
            connected = connected => connected?,
        };
        let found = Self::of(&log, None, patience, cancel).await?;
        found.ok_or_else(|| no_run(&log, patience))
    }

    /// Joins the run that follows at this address; none if no other does, or the study is over. Waits for it as for the
    /// first.
    ///
    /// # Errors
    /// Those of [`join`](Self::join).
    pub async fn next(
        self,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, Error> {
        if !self.run.study.is_some_and(|run| run.is_followed) {
            return Ok(None);
        }
        Self::of(&self.log, Some(&self.run.id), patience, cancel).await
    }

    /// The run at a queue, as soon as there is one. Behind the run with the id `last`, none if the streams are removed:
    /// then no other follows.
    async fn of(
        log: &QueueLog,
        last: Option<&str>,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, Error> {
        let subject = log.subject("run");
        let found = async {
            let mut gone_since = None;
            loop {
                let message = match log.is_gone().await {
                    true => {
                        let since = gone_since.get_or_insert_with(Instant::now);
                        if last.is_some() && since.elapsed() > GONE {
                            return Ok::<_, Error>(None);
                        }
                        None
                    }
                    false => {
                        gone_since = None;
                        log.last(&subject, cancel).await.ok().flatten()
                    }
                };
                if let Some(message) = message {
                    let run: RunMessage =
                        serde_json::from_slice(&message.payload).map_err(|error| {
                            log.address().failed("expected the settings of a run", error)
                        })?;
                    if last != Some(run.id.as_str()) {
                        return Ok(Some(run));
                    }
                }
                tokio::time::sleep(PULL).await;
            }
        };
        let found = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Error::Stopped),
            found = tokio::time::timeout(patience, found) => found.map_err(|_| no_run(log, patience))??,
        };
        Ok(found.map(|run| Self { log: Arc::new(log.of_run(&run.id)), run }))
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
        &self,
        tpo: Tpo,
        concurrency: usize,
        cancel: CancellationToken,
        abort: CancellationToken,
    ) -> Result<WorkerReport, Error> {
        self.check(&tpo)?;
        let (log, ack_wait) = (Arc::clone(&self.log), self.run.ack_wait());
        let trace = self.run.trace.clone();
        let search = Arc::new(Search { tpo, log, ack_wait, trace, cancel, abort });
        let mut report = WorkerReport::default();
        let mut tasks: JoinSet<Delivery> = JoinSet::new();
        let (mut consumer, mut batch) = (None, None);
        let concurrency = concurrency.max(1);
        let mut is_over = false;
        let is_cancelled = || search.cancel.is_cancelled() || search.abort.is_cancelled();
        loop {
            // What was asked for arrives here, or is delivered to another only after its time.
            if batch.is_none() && (is_over || is_cancelled()) {
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
                    // A server whose consumer was removed may not answer at all.
                    Some(batch) => match tokio::time::timeout(3 * PULL, batch.next()).await {
                        Ok(message) => message,
                        Err(elapsed) => Some(Err(elapsed.into())),
                    },
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = message => match message {
                    Some(Ok(message)) => match search.log.query_of(&message.subject) {
                        Some(query) if !is_over && !is_cancelled() => {
                            let search = Arc::clone(&search);
                            tasks.spawn(async move { search.deliver(query, message).await });
                        }
                        query => {
                            // One that is not of this run is of the next.
                            is_over |= query.is_none();
                            drop(message.ack_with(AckKind::Nak(None)).await);
                        }
                    }
                    // The streams of a run that is over are not there any more.
                    Some(Err(error)) => {
                        is_over |= is_removal(&error) && search.log.is_gone().await;
                        (batch, consumer) = (None, None);
                    }
                    None => batch = None,
                },
                Some(delivery) = tasks.join_next() => is_over |= report.count(delivery),
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

fn no_run(log: &QueueLog, patience: Duration) -> Error {
    let reason = format!("expected a run within {} s, got none", patience.as_secs());
    Error::Queue { name: log.address().to_string(), reason, source: None }
}

/// Whether the server says that a consumer was removed. One that restarts does not say so.
fn is_removal(error: &impl Display) -> bool {
    error.to_string().contains("Consumer Deleted")
}

impl AddAssign for WorkerReport {
    fn add_assign(&mut self, more: Self) {
        self.queries += more.queries;
        self.lost += more.lost;
        self.given_back += more.given_back;
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
