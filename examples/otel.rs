//! The calls of a program as OpenTelemetry spans, with the names of its GenAI conventions.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --features otel --bin otel
//! ```
//! It prints the spans that it would export, with the type of each attribute. With the address of a collector, as
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318`, it sends them.

use std::error::Error;
use std::sync::Arc;

use opentelemetry::Value;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use textgrad_core::{Engine, Parameter, Sampling, Variable, backward};
use textgrad_ops::layer::EngineExt as _;
use textgrad_ops::sim::Sim;
use textgrad_ops::telemetry::{self, GenAiExporter};
use textgrad_ops::{LlmCall, TextLoss};
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

/// An answer, its evaluation and the feedback on it, all under one span.
async fn program() -> Result<String, textgrad_core::Error> {
    let engine: Arc<dyn Engine> = Arc::new(Sim::default().traced());
    let sampling = Sampling::default().with_seed(7).with_temperature(0.7).with_max_tokens(200);
    let system = Parameter::new("Answer in a friendly way.", "system prompt");
    let question = Variable::constant("How do I boil an egg?", "question of a user");
    let run = async {
        let llm = LlmCall::builder(Arc::clone(&engine)).sampling(sampling).build();
        let answer = llm.ask(&question).system(&system).one().await?;
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
    let subscriber = tracing_subscriber::registry().with(telemetry::layer(provider));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let feedback = runtime.block_on(program().with_subscriber(subscriber))?;
    provider.force_flush()?;
    Ok(feedback)
}

/// The spans of a run, kept in memory.
fn spans() -> Result<Vec<SpanData>, Box<dyn Error>> {
    let exporter = InMemorySpanExporter::default();
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(GenAiExporter(exporter.clone())).build();
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

fn main() -> Result<(), Box<dyn Error>> {
    let [] = textgrad_examples::flags([], &[])?;
    if let Some(provider) = telemetry::otlp("example")? {
        run(&provider)?;
        provider.shutdown()?;
        println!("sent to the collector");
        return Ok(());
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
