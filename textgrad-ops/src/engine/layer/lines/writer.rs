//! The task that owns a file of lines.

use std::io;

use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

/// A line on its way, and where to say how it went.
type Job = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// Writes lines whole and in order. Clones write to the same file; the task that does it ends with the last
/// of them, after the last line.
#[derive(Debug, Clone)]
pub(crate) struct LineWriter {
    // Callers wait for their line, so no more are queued than calls are under way.
    jobs: mpsc::UnboundedSender<Job>,
}

impl LineWriter {
    /// Writes to a file. It must be called within a tokio runtime.
    pub(crate) fn start(file: File) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        tokio::spawn(write_all(file, queue));
        Self { jobs }
    }

    /// Writes one line, until the operating system has it. It is queued before the first wait: a caller that
    /// goes away does not take it along.
    pub(crate) async fn write(&self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let (done, written) = oneshot::channel();
        let stopped = || io::Error::other("the task that writes it has stopped");
        self.jobs.send((bytes, done)).map_err(|_| stopped())?;
        written.await.map_err(|_| stopped())?
    }
}

async fn write_all(mut file: File, mut queue: mpsc::UnboundedReceiver<Job>) {
    let mut broken = false;
    while let Some((line, done)) = queue.recv().await {
        let result = if broken {
            // After half a line nothing that follows could be read.
            Err(io::Error::other("an earlier line could not be written"))
        } else {
            write(&mut file, &line).await
        };
        broken |= result.is_err();
        // Nobody waits any more where the caller went away.
        let _ = done.send(result);
    }
}

async fn write(file: &mut File, line: &[u8]) -> io::Result<()> {
    file.write_all(line).await?;
    file.flush().await
}
