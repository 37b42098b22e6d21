//! Steps of a search, recorded in the log of its query.

use std::sync::{Arc, OnceLock};

use textgrad_ops::CancellationToken;
use tokio::sync::{mpsc, oneshot};

use super::entry::EntryKind;
use super::log::{LogError, QueueLog};

/// Entries that wait to be added to a log at most; then who adds one waits.
const MAX_WAITING: usize = 64;

/// Adds entries to the log of a query that this worker has claimed, one after the other. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    entries: mpsc::Sender<NewEntry>,
    failure: Arc<OnceLock<LogError>>,
}

struct NewEntry {
    kind: EntryKind,
    body: Vec<u8>,
    /// Who waits until the server has it.
    added: Option<oneshot::Sender<()>>,
}

impl Recorder {
    /// Begins behind the message with the sequence `last`. An entry that was handed over is added even if nobody waits
    /// for it any more.
    pub(super) fn start(
        log: Arc<QueueLog>,
        subject: String,
        mut last: u64,
        stop: CancellationToken,
    ) -> Self {
        let (entries, mut received) = mpsc::channel::<NewEntry>(MAX_WAITING);
        let failure = Arc::new(OnceLock::new());
        let failed = Arc::clone(&failure);
        tokio::spawn(async move {
            let mut next = None;
            loop {
                let NewEntry { kind, mut body, added } = match next.take() {
                    Some(next) => next,
                    None => match received.recv().await {
                        Some(next) => {
                            // What a finished step leads to goes with it.
                            tokio::task::yield_now().await;
                            next
                        }
                        None => return,
                    },
                };
                let mut all = vec![added];
                // What waited in the meantime goes with it.
                while let Ok(more) = received.try_recv() {
                    if more.kind != kind {
                        next = Some(more);
                        break;
                    }
                    body.extend_from_slice(&more.body);
                    all.push(more.added);
                }
                match log.append(&subject, last, kind, body, &stop).await {
                    Ok(sequence) => last = sequence,
                    Err(error) => {
                        failed.get_or_init(|| error);
                        return;
                    }
                }
                // Whoever is not there any more needs no answer.
                for added in all.into_iter().flatten() {
                    let _ = added.send(());
                }
            }
        });
        Self { entries, failure }
    }

    /// Adds an entry, and waits until the server has it and all before it.
    pub(super) async fn add(&self, kind: EntryKind, body: Vec<u8>) -> Result<(), String> {
        let (added, is_added) = oneshot::channel();
        self.send(NewEntry { kind, body, added: Some(added) }).await?;
        is_added.await.map_err(|_| self.why())
    }

    /// Adds finished steps, as lines of a journal. Does not wait for the server: what follows from them does.
    pub(crate) async fn record(&self, lines: Vec<u8>) -> Result<(), String> {
        self.send(NewEntry { kind: EntryKind::Steps, body: lines, added: None }).await
    }

    /// Notes the keys of steps that are about to be asked for: if they stand there twice, they may be paid for twice.
    /// Waits until the server has them and all finished steps.
    pub(crate) async fn ask(&self, keys: &[&str]) -> Result<(), String> {
        let lines: String = keys.iter().flat_map(|key| [key, "\n"]).collect();
        self.add(EntryKind::Steps, lines.into_bytes()).await
    }

    async fn send(&self, entry: NewEntry) -> Result<(), String> {
        self.entries.send(entry).await.map_err(|_| self.why())
    }

    fn why(&self) -> String {
        self.reason().unwrap_or("the queue is closed").to_owned()
    }

    /// Why nothing can be added any more.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        Some(match self.failure.get()? {
            LogError::Fenced => "the query was given to another worker",
            LogError::Gone => "the run is over",
            LogError::Stopped => "the worker was stopped",
        })
    }

    /// Whether another worker has the query.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(self.failure.get(), Some(LogError::Fenced))
    }
}
