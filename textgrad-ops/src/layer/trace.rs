//! OpenTelemetry spans of calls, named after the GenAI conventions.

use textgrad_core::{Engine, EngineError, Format, Request, Response};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span, info_span};

use super::Layer;

/// Opens a `tracing` span for each call; see [`EngineExt::traced`](super::EngineExt::traced).
///
/// The span is called `chat <model>` and of kind `client` (`otel.name`, `otel.kind`, as
/// `tracing-opentelemetry` reads them). It carries `gen_ai.operation.name`, `gen_ai.provider.name`,
/// `gen_ai.request.*`, `gen_ai.response.model`, `gen_ai.response.finish_reasons`, `gen_ai.usage.*` and, for a
/// call that failed, `error.type`: the [kind](textgrad_core::ErrorKind) of the error. Two fields are our own:
/// `textgrad.purpose` and `textgrad.simulation`. Texts are never part of it.
///
/// Counts are signed numbers, and lists (`gen_ai.response.finish_reasons`, `gen_ai.request.stop_sequences`)
/// are JSON, since `tracing` has no lists: an exporter that wants them as the conventions have them reads them
/// back, as `telemetry` does (feature `otel`).
///
/// Provider and model are read off the engine's name, `provider:model`.
#[derive(Debug, Clone, Copy)]
pub struct Trace;

impl Layer for Trace {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let span = open_span(engine.name(), engine.is_simulation(), request);
        let result = engine.complete(request).instrument(span.clone()).await;
        close_span(&span, &result);
        result
    }
}

/// The type of an answer with a format, as the conventions name it.
fn output_type(format: &Format) -> &'static str {
    match format {
        Format::JsonSchema(_) => "json",
        _ => "text",
    }
}

/// The span of a call that begins.
fn open_span(engine: &str, simulation: bool, request: &Request) -> Span {
    let (provider, model) = engine.split_once(':').unwrap_or((engine, engine));
    let sampling = &request.sampling;
    let span = info_span!(
        "chat",
        otel.name = %format_args!("chat {model}"),
        otel.kind = "client",
        otel.status_code = Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = provider,
        gen_ai.request.model = model,
        gen_ai.output.type = request.format.as_ref().map(output_type),
        gen_ai.request.choice.count = (sampling.n != 1).then_some(i64::from(sampling.n)),
        gen_ai.request.seed = sampling.seed.and_then(whole),
        gen_ai.request.temperature = sampling.temperature,
        gen_ai.request.top_p = sampling.top_p,
        gen_ai.request.top_k = sampling.extra.get("top_k").and_then(serde_json::Value::as_f64),
        gen_ai.request.max_tokens = sampling.max_tokens.map(i64::from),
        gen_ai.request.frequency_penalty = sampling.frequency_penalty,
        gen_ai.request.presence_penalty = sampling.presence_penalty,
        gen_ai.request.stop_sequences = Empty,
        gen_ai.response.model = Empty,
        gen_ai.response.finish_reasons = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        error.type = Empty,
        textgrad.purpose = %request.purpose,
        textgrad.simulation = simulation,
    );
    if !sampling.stop.is_empty() {
        span.record("gen_ai.request.stop_sequences", display(list(&sampling.stop)));
    }
    span
}

/// A count as OpenTelemetry has it: `tracing-opentelemetry` makes texts of unsigned numbers. A seed beyond
/// the range is left out, since no signed number holds it.
fn whole(count: u64) -> Option<i64> {
    i64::try_from(count).ok()
}

/// A list as JSON: a field of `tracing` holds no list. What exports spans can read it back into one.
fn list(texts: impl IntoIterator<Item = impl AsRef<str>>) -> serde_json::Value {
    texts.into_iter().map(|text| text.as_ref().to_owned()).collect()
}

/// Adds the outcome of the call.
fn close_span(span: &Span, result: &Result<Response, EngineError>) {
    match result {
        Ok(response) => {
            let reasons = response.choices.iter().map(|choice| choice.finish_reason.as_str());
            span.record("gen_ai.response.finish_reasons", display(list(reasons)));
            if !response.model.is_empty() {
                span.record("gen_ai.response.model", response.model.as_str());
            }
            let usage = response.usage;
            // All zero means that the server reported no usage.
            if usage.total() > 0 {
                span.record("gen_ai.usage.input_tokens", whole(usage.prompt_tokens));
                span.record("gen_ai.usage.output_tokens", whole(usage.completion_tokens));
                span.record("gen_ai.usage.cache_read.input_tokens", whole(usage.cached_tokens));
            }
        }
        Err(error) => {
            span.record("error.type", display(error.kind()));
            span.record("otel.status_code", "error");
        }
    }
}

#[cfg(test)]
mod tests;
