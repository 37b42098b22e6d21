//! The file of a recording.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use textgrad_core::{EngineError, ErrorKind};
use tokio::fs::OpenOptions;

use super::super::lines::LineWriter;

/// Writes the lines of a new recording.
#[derive(Debug)]
pub(super) struct Recorder {
    path: Arc<Path>,
    lines: LineWriter,
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
        let recorder = Self { path: path.into(), lines: LineWriter::start(file) };
        recorder.write(header).await?;
        Ok(recorder)
    }

    /// Writes one line, which a caller that goes away does not take along.
    pub(super) async fn write(&self, line: &impl Serialize) -> Result<(), EngineError> {
        self.lines.write(line).await.map_err(|error| {
            let path = self.path.display();
            EngineError::new(
                ErrorKind::Other,
                format!(
                    "the recording {path} cannot be written; the call was made but is lost to it"
                ),
            )
            .with_source(error)
        })
    }
}
