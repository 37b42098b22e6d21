//! The task that owns the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use textgrad_core::{EngineError, ErrorKind};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

/// A line on its way, and where to say how it went.
type Job = (Vec<u8>, oneshot::Sender<std::io::Result<()>>);

/// Writes lines whole and in order. The task that does it ends with the recorder, after the last line.
#[derive(Debug)]
pub(super) struct Recorder {
    path: Arc<Path>,
    // Callers wait for their line, so no more are queued than calls are under way.
    jobs: mpsc::UnboundedSender<Job>,
}

impl Recorder {
    pub(super) async fn create(
        path: PathBuf,
        header: &impl Serialize,
    ) -> Result<Self, EngineError> {
        let file =
            OpenOptions::new().write(true).create_new(true).open(&path).await.map_err(|error| {
                let what = match error.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        "exists already; choose another file or remove it"
                    }
                    _ => "cannot be made; check the folder and its permissions",
                };
                EngineError::new(
                    ErrorKind::Other,
                    format!("the recording {} {what}", path.display()),
                )
                .with_source(error)
            })?;
        let (jobs, queue) = mpsc::unbounded_channel();
        tokio::spawn(write_all(file, queue));
        let recorder = Self { path: path.into(), jobs };
        recorder.write(header).await?;
        Ok(recorder)
    }

    /// Writes one line. It is queued before the first wait: a caller that goes away does not take it along.
    pub(super) async fn write(&self, line: &impl Serialize) -> Result<(), EngineError> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| self.failed(error))?;
        bytes.push(b'\n');
        let (done, written) = oneshot::channel();
        let stopped = || std::io::Error::other("the task that writes it has stopped");
        self.jobs.send((bytes, done)).map_err(|_| self.failed(stopped()))?;
        written.await.map_err(|_| self.failed(stopped()))?.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: impl std::error::Error + Send + Sync + 'static) -> EngineError {
        let path = self.path.display();
        EngineError::new(
            ErrorKind::Other,
            format!("the recording {path} cannot be written; the call was made but is lost to it"),
        )
        .with_source(error)
    }
}

async fn write_all(mut file: File, mut queue: mpsc::UnboundedReceiver<Job>) {
    let mut broken = false;
    while let Some((line, done)) = queue.recv().await {
        let result = if broken {
            // After half a line nothing that follows could be read.
            Err(std::io::Error::other("an earlier line could not be written"))
        } else {
            write(&mut file, &line).await
        };
        broken |= result.is_err();
        // Nobody waits any more where the caller went away.
        let _ = done.send(result);
    }
}

async fn write(file: &mut File, line: &[u8]) -> std::io::Result<()> {
    file.write_all(line).await?;
    file.flush().await
}
