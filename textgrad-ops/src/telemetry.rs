//! Spans as OpenTelemetry has them, sent to a collector by OTLP.
//!
//! [`EngineExt::traced`](crate::layer::EngineExt::traced) opens the spans of calls. A program that subscribes to
//! `tracing` exports them with [`layer`]; the context of a span crosses processes with [`inject`] and [`extract`].

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Array, StringValue, Value};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// `tracing` has no lists: a traced engine writes these as JSON, and here they become lists again.
const LISTS: [&str; 2] = ["gen_ai.response.finish_reasons", "gen_ai.request.stop_sequences"];
/// The variables of OpenTelemetry that name a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// An exporter around an exporter, which gives the attributes of calls the types that the conventions for generative AI
/// have.
#[derive(Debug)]
pub struct GenAiExporter<E>(pub E);

impl<E: SpanExporter> SpanExporter for GenAiExporter<E> {
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

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Exports spans: what the conventions know, and not where in the source a span was opened, nor how long it was busy.
/// A filter of the layer leaves out those of other crates, such as HTTP clients: the targets of these crates begin with
/// `textgrad` and `tpo`.
pub fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("textgrad"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
}

/// A provider that sends spans to the collector of the environment, if that names one by
/// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT`. Other variables of OpenTelemetry hold too,
/// such as `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_RESOURCE_ATTRIBUTES`; the name of the service, unless
/// `OTEL_SERVICE_NAME` has one, is `service`. Spans are sent as protobuf by HTTP.
///
/// It blocks: call it, and shut the provider down, outside of any runtime.
///
/// # Errors
/// If the address or another variable cannot be used.
pub fn otlp(service: &'static str) -> Result<Option<SdkTracerProvider>, ExporterBuildError> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !ENDPOINTS.iter().any(is_set) {
        return Ok(None);
    }
    // The exporter chooses no provider of TLS. One that was chosen before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .build()?;
    let mut resource = Resource::builder();
    if !is_set(&"OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(service);
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(GenAiExporter(exporter))
        .with_resource(resource.build());
    Ok(Some(provider.build()))
}

/// The context of a span in words that another process continues by [`extract`], as W3C Trace Context has them; empty
/// if the span is not exported.
#[must_use]
pub fn inject(span: &Span) -> HashMap<String, String> {
    let mut words = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut words);
    words
}

/// Makes a span that was not entered yet a child of one in another process.
pub fn extract(span: &Span, words: &HashMap<String, String>) {
    // A span that is not exported has no parent.
    let _ = span.set_parent(TraceContextPropagator::new().extract(words));
}
