use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, ErrorKind, FinishReason, Message, Purpose, Sampling, Usage, engine_fn,
};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber as _;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

type Fields = BTreeMap<String, String>;

/// Keeps the fields of each span, by its number.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>);

struct Write<'a>(&'a mut Fields);

impl Visit for Write<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        span.record(&mut Write(&mut fields));
        let mut spans = self.0.lock().unwrap();
        spans.push(fields);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let index = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut Write(&mut self.0.lock().unwrap()[index]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

async fn span_of(engine: impl Engine, request: &Request) -> Fields {
    let spans = Spans::default();
    let _ = Trace.call(&engine, request).with_subscriber(spans.clone()).await;
    let mut seen = spans.0.lock().unwrap();
    assert_eq!(seen.len(), 1);
    seen.remove(0)
}

fn fields(expected: &[(&str, &str)]) -> Fields {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_call_has_a_span_of_what_was_asked_and_what_came_but_not_of_what_was_said() {
    let engine = engine_fn("openai:llama3:8b", |_| async {
        let choices = vec![
            Choice::new("SECRET", FinishReason::Stop),
            Choice::new("SECRET", FinishReason::Length),
        ];
        let usage =
            Usage { prompt_tokens: 5, completion_tokens: 6, cached_tokens: 1, ..Usage::default() };
        Ok(Response::new(choices).with_usage(usage).with_model("llama3:8b-q4"))
    });
    let mut sampling =
        Sampling::default().with_n(2).with_seed(7).with_temperature(0.5).with_max_tokens(9);
    sampling.top_p = Some(0.95);
    sampling.frequency_penalty = Some(0.25);
    sampling.presence_penalty = Some(0.75);
    sampling.stop = vec!["END".into()];
    sampling.extra.insert("top_k".into(), 40.into());
    let request =
        Request::new(Purpose::Gradient, [Message::user("SECRET")]).with_sampling(sampling);
    let span = span_of(engine, &request).await;
    assert_eq!(
        span,
        fields(&[
            ("otel.name", "chat llama3:8b"),
            ("otel.kind", "\"client\""),
            ("gen_ai.operation.name", "\"chat\""),
            ("gen_ai.provider.name", "\"openai\""),
            ("gen_ai.request.model", "\"llama3:8b\""),
            ("gen_ai.request.choice.count", "2"),
            ("gen_ai.request.seed", "7"),
            ("gen_ai.request.temperature", "0.5"),
            ("gen_ai.request.top_p", "0.95"),
            ("gen_ai.request.top_k", "40.0"),
            ("gen_ai.request.max_tokens", "9"),
            ("gen_ai.request.frequency_penalty", "0.25"),
            ("gen_ai.request.presence_penalty", "0.75"),
            ("gen_ai.request.stop_sequences", "[\"END\"]"),
            ("gen_ai.response.model", "\"llama3:8b-q4\""),
            ("gen_ai.response.finish_reasons", "[\"stop\",\"length\"]"),
            ("gen_ai.usage.input_tokens", "5"),
            ("gen_ai.usage.output_tokens", "6"),
            ("gen_ai.usage.cache_read.input_tokens", "1"),
            ("textgrad.purpose", "gradient"),
            ("textgrad.simulation", "false"),
        ])
    );
}

#[tokio::test]
async fn a_failed_call_has_the_kind_of_its_error_and_unset_fields_are_absent() {
    let failing =
        ScriptedEngine::new([Reply::error(EngineError::new(ErrorKind::RateLimited, "SECRET"))]);
    let span = span_of(failing, &Request::new(Purpose::Sample, [])).await;
    assert_eq!(
        span,
        fields(&[
            ("otel.name", "chat scripted"),
            ("otel.kind", "\"client\""),
            ("otel.status_code", "\"error\""),
            ("gen_ai.operation.name", "\"chat\""),
            ("gen_ai.provider.name", "\"scripted\""),
            ("gen_ai.request.model", "\"scripted\""),
            ("error.type", "rate_limited"),
            ("textgrad.purpose", "sample"),
            ("textgrad.simulation", "false"),
        ])
    );
}
