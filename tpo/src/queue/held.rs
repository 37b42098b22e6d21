//! Queues that a coordinator holds, and its lease on one: one coordinator at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use textgrad_ops::CancellationToken;
use tokio::task::JoinHandle;

use super::address::may_pass;
use super::coordinator::QueueOptions;
use super::log::{LogError, QueueLog};
use crate::error::Error;
use crate::journal::{self, Journal};
use crate::run::RunConfig;

/// How long a coordinator that begins waits for the server, which may be starting again.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(250);

/// What workers need to know of a run.
#[derive(Serialize, Deserialize)]
pub(super) struct RunMessage {
    pub(super) config: RunConfig,
    ack_wait_ms: u64,
    /// What distinguishes this run from all others.
    pub(super) id: String,
    /// The context of the coordinator's span, which those of searches are children of.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub(super) trace: HashMap<String, String>,
    /// The study that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) study: Option<StudyRun>,
}

/// A run as a part of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StudyRun {
    pub(super) study: String,
    /// Whether another run of it follows at this address.
    pub(super) is_followed: bool,
}

impl RunMessage {
    pub(super) fn ack_wait(&self) -> Duration {
        Duration::from_millis(self.ack_wait_ms.max(1))
    }

    fn study_name(&self) -> Option<&str> {
        self.study.as_ref().map(|run| run.study.as_str())
    }
}

/// A queue that has no other coordinator.
pub(crate) struct HeldQueue {
    pub(super) log: Arc<QueueLog>,
    pub(super) lease: Lease,
    /// What workers need to know, and the sequence of the message that they have of it; 0 without one.
    pub(super) run: RunMessage,
    pub(super) announced: u64,
    /// The journals of other runs with the same queries.
    pub(super) others: Vec<Journal>,
}

impl HeldQueue {
    /// Takes the queue for a run with these settings, which was begun before or was not.
    ///
    /// # Errors
    /// [`Error::Queue`] if the server cannot be used, or has another run or coordinator of this name.
    pub(crate) async fn take(
        options: &QueueOptions,
        config: &RunConfig,
        is_resumed: bool,
        cancel: &CancellationToken,
    ) -> Result<Self, Error> {
        let mut others = Vec::new();
        for run in &options.others {
            others.push(Journal::read(&run.join(journal::FILE)).await?);
        }
        let begun = Instant::now();
        let log = loop {
            let reached = async {
                let log = QueueLog::connect(&options.address).await?;
                log.create(options.ack_wait).await.map(|()| log)
            };
            match reached.await {
                Ok(log) => break Arc::new(log),
                Err(error) if begun.elapsed() < PATIENCE && may_pass(&error) => {
                    tracing::info!("waiting for the server: {}", crate::describe(&error));
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(Error::Stopped),
                () = tokio::time::sleep(RETRY) => {}
            }
        };
        let lease = Lease::take(&log, cancel).await?;
        let ack_wait_ms = u64::try_from(options.ack_wait.as_millis()).unwrap_or(u64::MAX);
        let (config, id, study) = (config.clone(), log.process.clone(), options.study.clone());
        let mut run = RunMessage { config, ack_wait_ms, id, trace: trace(), study };
        match announced(&log, &mut run, is_resumed, cancel).await {
            Ok(announced) => {
                let log = Arc::new(log.of_run(&run.id));
                Ok(Self { log, lease, run, announced, others })
            }
            Err(error) => {
                lease.release(&log).await;
                Err(error)
            }
        }
    }
}

/// The context of the current span, if it is exported.
fn trace() -> HashMap<String, String> {
    #[cfg(feature = "otel")]
    {
        textgrad_ops::telemetry::inject(&tracing::Span::current())
    }
    #[cfg(not(feature = "otel"))]
    HashMap::new()
}

/// The sequence of what the queue has of a run, which gives the run its id; 0 if it has nothing.
async fn announced(
    log: &QueueLog,
    own: &mut RunMessage,
    is_resumed: bool,
    cancel: &CancellationToken,
) -> Result<u64, Error> {
    let found = log.last(&log.subject("run"), cancel).await.map_err(|error| failed(log, &error))?;
    let Some(found) = found else { return Ok(0) };
    let sequence = found.sequence;
    let hint = "finish it, name another queue as nats://HOST/NAME, or remove its streams";
    let found: RunMessage = serde_json::from_slice(&found.payload).map_err(|error| {
        refused(log, format!("expected the settings of a run: {error}; {hint}"))
    })?;
    let differences = own.config.differences(&found.config.to_json()?);
    if !differences.is_empty() {
        if own.study.is_some() && own.study_name() == found.study_name() {
            // It is over, or would be continued in its turn: the coordinator that ended had no time to remove it.
            log.purge().await?;
            return Ok(sequence);
        }
        let differences = differences.join("; ");
        return Err(refused(
            log,
            format!("expected no other run, got one with {differences}; {hint}"),
        ));
    }
    match is_resumed {
        true => {
            (own.id, own.trace) = (found.id, found.trace);
            Ok(sequence)
        }
        false => Err(refused(
            log,
            "expected no run, got this one, which is not over; --resume with its directory continues it".to_owned(),
        )),
    }
}

pub(super) fn refused(log: &QueueLog, reason: String) -> Error {
    Error::Queue { name: log.address().to_string(), reason, source: None }
}

pub(super) fn failed(log: &QueueLog, error: &LogError) -> Error {
    match error {
        LogError::Stopped => Error::Stopped,
        LogError::Gone => {
            refused(log, "expected the streams of the run, and they were removed".to_owned())
        }
        LogError::Fenced => {
            refused(log, "another process has written where this one may".to_owned())
        }
    }
}

/// A coordinator is taken for dead after so long without a sign of life.
const LEASE: Duration = Duration::from_secs(5);
/// The time between two signs of life.
const BEAT: Duration = Duration::from_secs(1);

/// A held lease, renewed until it is dropped.
pub(super) struct Lease {
    beat: JoinHandle<()>,
    renewed: Arc<Mutex<Instant>>,
    /// Cancelled when another coordinator has the lease.
    lost: CancellationToken,
}

impl Lease {
    /// Takes the lease. Where another coordinator had it and did not give it back, that takes as long as a lease is.
    pub(super) async fn take(log: &Arc<QueueLog>, stop: &CancellationToken) -> Result<Self, Error> {
        let subject = log.subject("coordinator");
        let queue = |reason: &str| Error::Queue {
            name: log.address().to_string(),
            reason: reason.to_owned(),
            source: None,
        };
        let failed = |error| match error {
            LogError::Stopped => Error::Stopped,
            LogError::Gone => queue("expected a queue, and it was removed"),
            LogError::Fenced => queue("another coordinator has taken this run; wait until it ends"),
        };
        let mut last = log.last(&subject, stop).await.map_err(failed)?;
        if last.as_ref().is_some_and(|last| !last.payload.is_empty()) {
            tracing::info!("waiting for the lease of an earlier coordinator to end");
            let begun = Instant::now();
            while begun.elapsed() < LEASE {
                tokio::select! {
                    () = stop.cancelled() => return Err(Error::Stopped),
                    () = tokio::time::sleep(BEAT / 2) => {}
                }
                let now = log.last(&subject, stop).await.map_err(failed)?;
                let sequence = |message: &Option<_>| {
                    let message: &Option<async_nats::jetstream::message::StreamMessage> = message;
                    message.as_ref().map(|message| message.sequence)
                };
                if sequence(&now) != sequence(&last) {
                    if now.as_ref().is_none_or(|now| now.payload.is_empty()) {
                        last = now;
                        break;
                    }
                    let other = now.map(|now| String::from_utf8_lossy(&now.payload).into_owned());
                    let other = other.unwrap_or_default();
                    return Err(queue(&format!(
                        "expected no coordinator of this run, got {other:?}, which is at work; wait until it ends"
                    )));
                }
            }
        }
        let body = || log.process.clone().into_bytes();
        let last = last.map_or(0, |last| last.sequence);
        let mut last = log.replace(&subject, last, body(), stop).await.map_err(failed)?;
        let (renewed, lost) = (Arc::new(Mutex::new(Instant::now())), CancellationToken::new());
        let beat = tokio::spawn({
            let (log, renewed, lost) = (Arc::clone(log), Arc::clone(&renewed), lost.clone());
            let body = log.process.clone();
            async move {
                loop {
                    tokio::time::sleep(BEAT).await;
                    let begun = Instant::now();
                    match log.replace(&subject, last, body.clone().into_bytes(), &lost).await {
                        Ok(sequence) => (last, *renewed.lock()) = (sequence, begun),
                        Err(_) => return lost.cancel(),
                    }
                }
            }
        });
        Ok(Self { beat, renewed, lost })
    }

    /// Whether no other coordinator can have the lease.
    pub(super) fn is_held(&self) -> bool {
        !self.lost.is_cancelled() && self.renewed.lock().elapsed() < LEASE
    }

    /// Whether another coordinator has the lease.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Gives the lease back, so that the next coordinator need not wait.
    pub(super) async fn release(self, log: &QueueLog) {
        self.beat.abort();
        let (subject, stop) = (log.subject("coordinator"), CancellationToken::new());
        let release = async {
            if let Ok(Some(last)) = log.last(&subject, &stop).await
                && last.payload == log.process.as_bytes()
            {
                // A lease that is not given back ends by itself.
                let _ = log.replace(&subject, last.sequence, Vec::new(), &stop).await;
            }
        };
        let _ = tokio::time::timeout(BEAT, release).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.beat.abort();
    }
}
