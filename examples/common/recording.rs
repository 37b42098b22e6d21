//! Recordings in the place of a model.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use textgrad_core::{
    Choice, Engine, EngineError, EngineInfo, ErrorKind, FinishReason, Request, Response,
};
use textgrad_ops::layer::EngineExt;
use textgrad_ops::store::Replay;

use crate::Failure;

/// The engine name of recordings that no model wrote.
pub(crate) const WRITTEN_BY_HAND: &str = "written by hand";

/// Replays a recording, given by its path below the folder of the examples.
///
/// # Errors
/// If the recording cannot be read.
pub async fn replay(recording: &str) -> Result<Arc<dyn Engine>, Failure> {
    Ok(Arc::new(Replay::open(path(recording)).await?))
}

/// Gives the answers of a recording to the requests of this run, in order, and writes both to `RECORDING.new`.
pub(crate) async fn renew(recording: &str) -> Result<Arc<dyn Engine>, Failure> {
    let path = path(recording);
    let answers = tokio::fs::read_to_string(&path).await?;
    let answer = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line.pointer("/response/choices/0/text")?.as_str()?.to_owned())
    };
    let answers = Answers {
        info: EngineInfo::new(WRITTEN_BY_HAND).with_simulation(true),
        left: Mutex::new(answers.lines().filter_map(answer).collect()),
    };
    Ok(Arc::new(answers.record(path.with_extension("jsonl.new")).await?))
}

fn path(recording: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(recording)
}

/// Answers that are given one after the other.
struct Answers {
    info: EngineInfo,
    left: Mutex<VecDeque<String>>,
}

#[async_trait]
impl Engine for Answers {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, _: &Request) -> Result<Response, EngineError> {
        let answer = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let answer = answer.ok_or_else(|| {
            EngineError::new(
                ErrorKind::Other,
                "the recording has fewer answers than the run has requests",
            )
        })?;
        let response = Response::new(vec![Choice::new(answer, FinishReason::Stop)]);
        Ok(response.with_model("none: written by hand"))
    }
}
