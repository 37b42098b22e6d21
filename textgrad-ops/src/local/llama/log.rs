//! The log of llama.cpp: to `tracing`, and its errors into ours.

use std::fmt;
use std::sync::{Arc, OnceLock};

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::{LogOptions, send_logs_to_tracing};
use parking_lot::Mutex;
use textgrad_core::{EngineError, ErrorKind};
use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// llama.cpp itself, which begins once in a process. Its log goes to `tracing`, not to standard error.
pub(super) fn backend() -> Result<&'static LlamaBackend, EngineError> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let begun = BACKEND.get_or_init(|| {
        send_logs_to_tracing(LogOptions::default());
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    begun.as_ref().map_err(|error| {
        EngineError::new(
            ErrorKind::Other,
            format!("expected to begin llama.cpp, which another part of this program did: {error}"),
        )
    })
}

/// Runs a function, and returns beside its result what llama.cpp reported as errors on this thread.
pub(super) fn with_errors<T>(function: impl FnOnce() -> T) -> (T, String) {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let outer = dispatcher::get_default(Clone::clone);
    let collector = ErrorCollector { outer, errors: Arc::clone(&errors) };
    let result = dispatcher::with_default(&Dispatch::new(collector), function);
    let errors: Vec<String> = std::mem::take(&mut *errors.lock());
    (result, errors.join("; "))
}

/// A subscriber that keeps errors, and passes all on to another one.
struct ErrorCollector {
    outer: Dispatch,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Subscriber for ErrorCollector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR || self.outer.enabled(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.outer.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.outer.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.outer.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::ERROR {
            event.record(&mut MessageVisitor(&mut self.errors.lock()));
        }
        if self.outer.enabled(event.metadata()) {
            self.outer.event(event);
        }
    }

    fn enter(&self, span: &Id) {
        self.outer.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.outer.exit(span);
    }
}

struct MessageVisitor<'a>(&'a mut Vec<String>);

impl MessageVisitor<'_> {
    fn add(&mut self, field: &Field, text: &str) {
        if field.name() == "message" && !text.trim().is_empty() {
            self.0.push(text.trim().to_owned());
        }
    }
}

impl Visit for MessageVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}
