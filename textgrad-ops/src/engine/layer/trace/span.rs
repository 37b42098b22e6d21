//! The fields of a span.

use textgrad_core::{EngineError, FinishReason, Request, Response};
use tracing::field::{Empty, debug, display};
use tracing::{Span, info_span};

/// The span of a call that begins.
pub(super) fn open(engine: &str, simulation: bool, request: &Request) -> Span {
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
        gen_ai.output.type = request.format.is_some().then_some("json"),
        gen_ai.request.choice.count = (sampling.n != 1).then_some(sampling.n),
        gen_ai.request.seed = sampling.seed,
        gen_ai.request.temperature = sampling.temperature,
        gen_ai.request.top_p = sampling.top_p,
        gen_ai.request.top_k = sampling.extra.get("top_k").and_then(serde_json::Value::as_f64),
        gen_ai.request.max_tokens = sampling.max_tokens,
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
        span.record("gen_ai.request.stop_sequences", debug(&sampling.stop));
    }
    span
}

/// Adds what the call came to.
pub(super) fn close(span: &Span, result: &Result<Response, EngineError>) {
    match result {
        Ok(response) => {
            let reasons: Vec<&str> = response
                .choices
                .iter()
                .map(|choice| FinishReason::as_str(&choice.finish_reason))
                .collect();
            span.record("gen_ai.response.finish_reasons", debug(reasons));
            if !response.model.is_empty() {
                span.record("gen_ai.response.model", response.model.as_str());
            }
            let usage = response.usage;
            // All zero is how a response says that the server did not tell.
            if usage.total() > 0 {
                span.record("gen_ai.usage.input_tokens", usage.prompt_tokens);
                span.record("gen_ai.usage.output_tokens", usage.completion_tokens);
                span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
            }
        }
        Err(error) => {
            span.record("error.type", display(error.kind()));
            span.record("otel.status_code", "error");
        }
    }
}
