//! Queues that a coordinator holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use textgrad_ops::CancellationToken;

use super::address::may_pass;
use super::coordinator::QueueOptions;
use super::lease::Lease;
use super::log::{LogError, QueueLog};
use crate::error::Error;
use crate::run::RunConfig;

/// How long a coordinator that begins waits for the server, which may be starting again.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(250);

/// What workers need to know of a run.
#[derive(Serialize, Deserialize)]
pub(super) struct RunMessage {
    pub(super) config: RunConfig,
    ack_wait_ms: u64,
}

impl RunMessage {
    pub(super) fn ack_wait(&self) -> Duration {
        Duration::from_millis(self.ack_wait_ms.max(1))
    }
}

/// A queue that has no other coordinator.
pub(crate) struct HeldQueue {
    pub(super) log: Arc<QueueLog>,
    pub(super) lease: Lease,
    /// The settings of the run, for workers, if they do not have them.
    pub(super) announcement: Option<Vec<u8>>,
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
        let own = RunMessage { config: config.clone(), ack_wait_ms };
        match announcement(&log, &own, is_resumed, cancel).await {
            Ok(announcement) => Ok(Self { log, lease, announcement }),
            Err(error) => {
                lease.release(&log).await;
                Err(error)
            }
        }
    }
}

/// What workers need to know of a run, if the queue does not have it.
async fn announcement(
    log: &QueueLog,
    own: &RunMessage,
    is_resumed: bool,
    cancel: &CancellationToken,
) -> Result<Option<Vec<u8>>, Error> {
    let found = log.last(&log.subject("run"), cancel).await.map_err(|error| failed(log, &error))?;
    let Some(found) = found else {
        let body = serde_json::to_vec(own);
        return body.map(Some).map_err(|error| Error::JournalWrite { reason: error.to_string() });
    };
    let hint = "finish it, name another queue as nats://HOST/NAME, or remove its streams";
    let found: RunMessage = serde_json::from_slice(&found.payload).map_err(|error| {
        refused(log, format!("expected the settings of a run: {error}; {hint}"))
    })?;
    let differences = own.config.differences(&found.config.to_json()?);
    if !differences.is_empty() {
        let differences = differences.join("; ");
        return Err(refused(
            log,
            format!("expected no other run, got one with {differences}; {hint}"),
        ));
    }
    match is_resumed {
        true => Ok(None),
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
