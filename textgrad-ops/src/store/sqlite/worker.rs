//! The threads that run SQLite.
//!
//! Two, with a connection each: in WAL mode a lookup does not wait for a write, not even for one that waits for
//! another process. Threads of their own rather than tasks on a pool, for three reasons: what is queued is
//! written although its caller goes away, one commit takes in all that is queued at the moment, and a
//! connection with its prepared statements stays in one place. They end with the cache, after what is queued.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Error;
use textgrad_core::EngineError;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::database::{Database, advice, wrong};
use super::query::New;

/// One commit takes in at most so many inserts.
const BATCH: usize = 256;

/// Why a lookup or an insert failed. Many can fail of one cause, and SQLite's error cannot be cloned.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}: {advice}", advice = advice(.0))]
    Sqlite(Arc<Error>),
    #[error("expected the checksum of the entry, got another")]
    Damaged,
    #[error("the thread that does it has stopped")]
    Stopped,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

type Answer = oneshot::Sender<Result<(), Failure>>;

pub(super) enum Job {
    /// Keep an answer.
    Put(Box<New>, Answer),
    /// An answer was used.
    Touch(String),
    /// Anything else, after what was queued before it.
    Call(Box<dyn FnOnce(&mut Database) + Send>),
    /// Close the file after this thread.
    CloseAfter(JoinHandle<()>),
}

/// A thread with an open file. Jobs are done in the order in which they are queued.
#[derive(Debug)]
pub(super) struct Worker(UnboundedSender<Job>);

impl Worker {
    /// Starts a thread that opens the file; returns when it is open. The thread ends some time after the worker is
    /// dropped.
    pub(super) async fn start(
        path: Arc<Path>,
        max_bytes: u64,
        open: impl FnOnce(&Path) -> Result<Database, EngineError> + Send + 'static,
    ) -> Result<(Self, JoinHandle<()>), EngineError> {
        let (send, queue) = mpsc::unbounded_channel();
        let (say, opened) = oneshot::channel();
        let of_thread = Arc::clone(&path);
        let run = move || match open(&of_thread) {
            Ok(store) => {
                // Where nobody waits any more there is nobody to serve either.
                if say.send(Ok(())).is_ok() {
                    serve(store, queue, max_bytes);
                }
            }
            Err(error) => {
                let _ = say.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("textgrad-cache".to_owned()).spawn(run);
        let thread = thread
            .map_err(|error| wrong(&path, "no thread can be started for it").with_source(error))?;
        opened.await.map_err(|_| wrong(&path, "the thread that opens it has stopped"))??;
        Ok((Self(send), thread))
    }

    /// Queues the job at once; a thread that has stopped takes none.
    pub(super) fn send(&self, job: Job) -> bool {
        self.0.send(job).is_ok()
    }

    pub(super) async fn put(&self, new: New) -> Result<(), Failure> {
        let (answer, written) = oneshot::channel();
        if !self.send(Job::Put(Box::new(new), answer)) {
            return Err(Failure::Stopped);
        }
        written.await.map_err(|_| Failure::Stopped)?
    }

    /// Runs something over the file; `None` if the thread has stopped.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Database) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, done) = oneshot::channel();
        let job = Job::Call(Box::new(move |store| {
            // Nobody waits any more where the caller went away.
            let _ = answer.send(run(store));
        }));
        if !self.send(job) {
            return None;
        }
        done.await.ok()
    }
}

fn serve(mut store: Database, mut queue: UnboundedReceiver<Job>, max_bytes: u64) {
    let (mut batch, mut others) = (Batch::default(), Vec::new());
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Put(new, answer) => batch.puts.push((new, answer)),
                Job::Touch(key) => batch.touched.push(key),
                Job::Call(run) => {
                    batch.commit(&mut store, max_bytes);
                    run(&mut store);
                }
                Job::CloseAfter(thread) => others.push(thread),
            }
            if batch.puts.len() + batch.touched.len() < BATCH {
                next = queue.try_recv().ok();
            }
        }
        batch.commit(&mut store, max_bytes);
    }
    for thread in others {
        // One that panicked has closed the file, too.
        let _ = thread.join();
    }
}

/// What one commit takes in.
#[derive(Default)]
struct Batch {
    puts: Vec<(Box<New>, Answer)>,
    touched: Vec<String>,
}

impl Batch {
    fn commit(&mut self, store: &mut Database, max_bytes: u64) {
        if self.puts.is_empty() && self.touched.is_empty() {
            return;
        }
        let (news, answers): (Vec<_>, Vec<_>) = std::mem::take(&mut self.puts).into_iter().unzip();
        let touched = std::mem::take(&mut self.touched);
        let outcome = store.write(&news, &touched).map_err(Failure::from);
        for answer in answers {
            // Nobody waits any more where the caller went away.
            let _ = answer.send(outcome.clone());
        }
        // After the answers were handed on: nobody waits for it, and it can be made up for after the next.
        if !news.is_empty()
            && let Err(error) = store.keep_below(max_bytes)
        {
            tracing::warn!(%error, "the cache cannot be pruned");
        }
    }
}
