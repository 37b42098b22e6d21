//! The lease of a coordinator: one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use textgrad_ops::CancellationToken;
use tokio::task::JoinHandle;

use super::log::{LogError, QueueLog};
use crate::error::Error;

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
