//! Every call of a run as a file, to be looked at.

mod error;
mod line;
mod logger;
#[cfg(feature = "page")]
mod page;
mod read;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};
use tokio::time::Instant;

pub use self::error::LogError;
use self::line::Line;
pub use self::logger::RunLogger;
use self::logger::unix_ms;
#[cfg(feature = "page")]
pub use self::page::write_page;
pub use self::read::{LoggedCall, LoggedGraph, RunLog};

/// An engine that writes each call to a [`RunLogger`]; see
/// [`EngineExt::logged`](super::EngineExt::logged).
///
/// The file is JSON lines, each by itself: the `version` of the format, when the call began (`time`, in
/// milliseconds since the Unix epoch), how long it took (`ms`), the `engine` and whether it simulates, the
/// `request` with its purpose, and the `response` with its tokens, or the `error`. Several engines may write
/// to one log, and a log may be continued. It holds everything that was said, so it is as confidential as
/// the conversation; keys are not part of a request and so not of it.
///
/// Unlike a [recording](super::Record), which is to be replayed and so refuses to have holes, a log is there
/// to be looked at: an answer that was paid for is handed on even where its line cannot be written, which is
/// said as a warning. A call whose caller goes away before it ends has no line.
#[derive(Debug, Clone)]
pub struct Logged<E> {
    engine: E,
    log: RunLogger,
}

impl<E> Logged<E> {
    pub(super) fn new(engine: E, log: RunLogger) -> Self {
        Self { engine, log }
    }
}

#[async_trait]
impl<E: Engine> Engine for Logged<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let (time, begun) = (unix_ms(), Instant::now());
        let result = self.engine.complete(request).await;
        let engine = (self.name(), self.is_simulation());
        let line = Line::call(time, begun.elapsed(), engine, request, &result);
        if let Err(error) = self.log.write(&line).await {
            tracing::warn!(%error, "a call is missing in the run log");
        }
        result
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}

#[cfg(test)]
mod tests;
