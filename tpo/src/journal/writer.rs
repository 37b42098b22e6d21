//! Writing lines, many at a time, off the async threads.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use super::Record;

/// Lines that wait to be written, at most: beyond that, writers wait.
const QUEUE: usize = 1024;

struct Line {
    text: String,
    written: oneshot::Sender<Result<(), String>>,
}

/// A handle to the thread that owns the file. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Writer {
    lines: mpsc::Sender<Line>,
    failed: Arc<OnceLock<String>>,
}

impl Writer {
    /// Starts the thread. It must be called within a tokio runtime.
    pub(super) fn start(file: Arc<File>) -> Self {
        let (lines, queue) = mpsc::channel(QUEUE);
        let failed = Arc::default();
        let of_thread = Arc::clone(&failed);
        tokio::task::spawn_blocking(move || run(&file, queue, &of_thread));
        Self { lines, failed }
    }

    /// Why nothing more can be written, if that is so.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Writes a record and waits until the operating system has it: from then on a killed process does not
    /// lose it. (A power cut may: the disk is not waited for.)
    pub(super) async fn write(&self, record: &Record) -> Result<(), String> {
        let mut text = serde_json::to_string(record).map_err(|error| error.to_string())?;
        text.push('\n');
        let (written, outcome) = oneshot::channel();
        let gone = || "the writer has stopped".to_owned();
        self.lines.send(Line { text, written }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

fn run(mut file: &File, mut queue: mpsc::Receiver<Line>, failed: &OnceLock<String>) {
    let mut batch = Vec::new();
    while queue.blocking_recv_many(&mut batch, QUEUE) > 0 {
        // After a failure half a line may be on the disk: nothing must follow it.
        let outcome = match failed.get() {
            Some(reason) => Err(reason.clone()),
            None => {
                let text: String = batch.iter().map(|line| line.text.as_str()).collect();
                file.write_all(text.as_bytes()).map_err(|error| error.to_string())
            }
        };
        if let Err(reason) = &outcome {
            failed.get_or_init(|| reason.clone());
        }
        for line in batch.drain(..) {
            // The search that waited may have been dropped; the line is written all the same.
            let _ = line.written.send(outcome.clone());
        }
    }
}
