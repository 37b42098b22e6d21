//! Whole runs as a file, and back.

mod difference;
mod line;
mod recorder;
mod replay;

use std::borrow::Cow;
use std::path::PathBuf;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};

use self::line::{Header, Line};
use self::recorder::Recorder;
pub use self::replay::Replay;

/// An engine that writes each request and its answer, or error, to a file; see
/// [`EngineExt::record`](super::EngineExt::record) and [`Replay`].
///
/// The file is JSON lines: a header with the version of the format, the engine's name and whether it
/// simulates, then one line for each call in the order in which they ended. It holds everything that was
/// said, so it is as confidential as the conversation; keys are not part of a request and so not of it.
///
/// An answer is handed on when its line is with the operating system. One that cannot be written is an
/// error: a recording with holes would only fail later, and far from the cause.
#[derive(Debug)]
pub struct Record<E> {
    engine: E,
    recorder: Recorder,
}

impl<E: Engine> Record<E> {
    pub(super) async fn create(engine: E, path: PathBuf) -> Result<Self, EngineError> {
        let header = Header::new(engine.name(), engine.is_simulation());
        let recorder = Recorder::create(path, &header).await?;
        Ok(Self { engine, recorder })
    }
}

#[async_trait]
impl<E: Engine> Engine for Record<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let result = self.engine.complete(request).await;
        self.recorder.write(&Line::new(request, &result)).await?;
        result
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}

#[cfg(test)]
mod tests;
