//! A span for each call, with the names of OpenTelemetry's GenAI conventions.

mod span;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};
use tracing::Instrument as _;

/// An engine that opens a `tracing` span for each call; see [`EngineExt::traced`](super::EngineExt::traced).
///
/// The span is called `chat <model>` and of kind `client` (`otel.name`, `otel.kind`, as
/// `tracing-opentelemetry` reads them). It carries `gen_ai.operation.name`, `gen_ai.provider.name`,
/// `gen_ai.request.*`, `gen_ai.response.model`, `gen_ai.response.finish_reasons`, `gen_ai.usage.*` and, for a
/// call that failed, `error.type`: the [kind](textgrad_core::ErrorKind) of the error. Two fields are our own:
/// `textgrad.purpose` and `textgrad.simulation`. What was said is never part of it.
///
/// Counts are signed numbers, and lists (`gen_ai.response.finish_reasons`, `gen_ai.request.stop_sequences`)
/// are JSON, since `tracing` has no lists: an exporter that wants them as the conventions have them reads them
/// back, as the example `otel` does.
///
/// Provider and model are read off the engine's name, `provider:model`.
#[derive(Debug, Clone)]
pub struct Traced<E> {
    engine: E,
}

impl<E> Traced<E> {
    pub(super) fn new(engine: E) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl<E: Engine> Engine for Traced<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let span = span::open(self.name(), self.is_simulation(), request);
        let result = self.engine.complete(request).instrument(span.clone()).await;
        span::close(&span, &result);
        result
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}

#[cfg(test)]
mod tests;
