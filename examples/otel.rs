//! The calls of a program as OpenTelemetry spans, with the names of its GenAI conventions.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --features otel --bin otel
//! ```
//! It prints the spans that it would export, with the type of each attribute. To send them to a collector:
//! ```sh
//! cargo run -p textgrad-examples --features otlp --bin otel -- --otlp http://localhost:4318/v1/traces
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Array, StringValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData, SpanExporter};
use textgrad_core::{Engine, Parameter, Sampling, Variable, backward};
use textgrad_ops::layer::EngineExt as _;
use textgrad_ops::sim::Sim;
use textgrad_ops::{LlmCall, TextLoss};
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

/// `tracing` has no lists: a traced engine writes these as JSON, and here they become lists again.
const LISTS: [&str; 2] = ["gen_ai.response.finish_reasons", "gen_ai.request.stop_sequences"];

/// An exporter around an exporter, which gives the attributes the types of the conventions.
#[derive(Debug)]
struct WithLists<E>(E);

impl<E: SpanExporter> SpanExporter for WithLists<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for attribute in batch.iter_mut().flat_map(|span| &mut span.attributes) {
            if LISTS.contains(&attribute.key.as_str())
                && let Ok(texts) = serde_json::from_str::<Vec<String>>(&attribute.value.as_str())
            {
                let texts: Vec<StringValue> = texts.into_iter().map(Into::into).collect();
                attribute.value = Value::Array(Array::String(texts));
            }
        }
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }
}

/// An answer, its evaluation and the feedback on it, all under one span.
async fn program() -> Result<String, textgrad_core::Error> {
    let engine: Arc<dyn Engine> = Arc::new(Sim::default().traced());
    let sampling = Sampling::default().with_seed(7).with_temperature(0.7).with_max_tokens(200);
    let system = Parameter::new("Answer in a friendly way.", "system prompt");
    let question = Variable::constant("How do I boil an egg?", "question of a user");
    let run = async {
        let llm = LlmCall::builder(Arc::clone(&engine)).sampling(sampling).build();
        let answer = llm.ask(&question).system(&system.variable()).one().await?;
        let loss =
            TextLoss::new(Arc::clone(&engine), "Is the answer short?").evaluate(&answer).await?;
        Ok(backward(&loss).await?.text(&system.variable()))
    };
    let span = info_span!(
        "invoke_workflow",
        otel.name = "invoke_workflow egg",
        gen_ai.operation.name = "invoke_workflow",
        gen_ai.workflow.name = "egg",
    );
    run.instrument(span).await
}

/// Runs the program with its spans going to an exporter.
fn run(provider: &SdkTracerProvider) -> Result<String, Box<dyn Error>> {
    // Only what the conventions know: not where in the source a span was opened, nor how long it was busy.
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("textgrad"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false);
    let subscriber = tracing_subscriber::registry().with(layer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let feedback = runtime.block_on(program().with_subscriber(subscriber))?;
    provider.force_flush()?;
    Ok(feedback)
}

/// The spans of a run, kept in memory.
fn spans() -> Result<Vec<SpanData>, Box<dyn Error>> {
    let exporter = InMemorySpanExporter::default();
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(WithLists(exporter.clone())).build();
    run(&provider)?;
    Ok(exporter.get_finished_spans()?)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::I64(_) => "int",
        Value::F64(_) => "double",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        _ => "other",
    }
}

#[cfg(feature = "otlp")]
fn send(url: &str) -> Result<(), Box<dyn Error>> {
    use opentelemetry_otlp::WithExportConfig as _;

    // The exporter chooses no provider of TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Its blocking client must be made, and dropped, outside of any runtime.
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(url)
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .build()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(WithLists(exporter)).build();
    run(&provider)?;
    provider.shutdown()?;
    println!("sent to {url}");
    Ok(())
}

#[cfg(not(feature = "otlp"))]
fn send(_: &str) -> Result<(), Box<dyn Error>> {
    Err("--otlp needs the feature otlp: run with --features otlp".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let [otlp] = textgrad_examples::flags(["--otlp"], &[])?;
    if let Some(url) = otlp {
        return send(&url);
    }
    for span in spans()? {
        println!("{} ({:?}, {:?})", span.name, span.span_kind, span.status);
        for attribute in &span.attributes {
            println!(
                "  {:<42} {:<7} {}",
                attribute.key,
                type_of(&attribute.value),
                attribute.value
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, SpanKind};

    use super::*;

    #[test]
    fn names_and_types_are_those_of_the_conventions() {
        let spans = spans().unwrap();
        let (chats, rest): (Vec<_>, Vec<_>) =
            spans.iter().partition(|span| span.name.starts_with("chat "));
        let [workflow] = rest.as_slice() else { panic!("{rest:?}") };
        assert_eq!(workflow.name, "invoke_workflow egg");
        assert_eq!(workflow.parent_span_id, SpanId::INVALID);
        // Answer, evaluation, feedback on the answer, feedback on the system prompt.
        assert_eq!(chats.len(), 4);
        for span in &chats {
            assert_eq!(span.span_kind, SpanKind::Client);
            assert_eq!(span.parent_span_id, workflow.span_context.span_id());
            let types: Vec<(&str, &str)> = span
                .attributes
                .iter()
                .map(|attribute| (attribute.key.as_str(), type_of(&attribute.value)))
                .collect();
            for expected in [
                ("gen_ai.operation.name", "string"),
                ("gen_ai.provider.name", "string"),
                ("gen_ai.request.model", "string"),
                ("gen_ai.response.finish_reasons", "list"),
                ("gen_ai.usage.input_tokens", "int"),
                ("gen_ai.usage.output_tokens", "int"),
                ("textgrad.purpose", "string"),
                ("textgrad.simulation", "bool"),
            ] {
                assert!(types.contains(&expected), "{expected:?} in {types:?}");
            }
        }
        let types: Vec<(&str, &str)> =
            chats[0].attributes.iter().map(|a| (a.key.as_str(), type_of(&a.value))).collect();
        for expected in [
            ("gen_ai.request.seed", "int"),
            ("gen_ai.request.max_tokens", "int"),
            ("gen_ai.request.temperature", "double"),
        ] {
            assert!(types.contains(&expected), "{expected:?} in {types:?}");
        }
        assert!(spans.iter().all(|span| {
            span.attributes.iter().all(|attribute| {
                let key = attribute.key.as_str();
                key.starts_with("gen_ai.") || key.starts_with("textgrad.")
            })
        }));
    }
}
