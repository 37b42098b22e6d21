//! Errors of one exchange, named alike and free of secrets.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Url};
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::shown;
use super::error_class::advice;
use super::redact::Redactor;
use super::server_error::ServerError;

/// The longest text of a server that a message repeats, in characters.
const LONGEST_QUOTE: usize = 300;

/// Makes the errors of one exchange: each names method, host and path, and none names a secret.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    target: String,
    redactor: Arc<Redactor>,
}

impl Report {
    pub(super) fn new(method: &Method, url: &Url, redactor: Arc<Redactor>) -> Self {
        Self { target: format!("{method} {}", shown(url)), redactor }
    }

    /// An error of this exchange in the caller's words.
    pub(crate) fn error(&self, kind: ErrorKind, what: impl AsRef<str>) -> EngineError {
        EngineError::new(kind, format!("{}: {}", self.target, what.as_ref()))
    }

    /// An error that was made without knowledge of the exchange, as one of it.
    pub(crate) fn locate(&self, error: EngineError) -> EngineError {
        // It may repeat words of the reply.
        let message = self.redactor.quote(error.message(), usize::MAX);
        error.with_message(format!("{}: {message}", self.target))
    }

    /// The beginning of a body, fit for a message.
    pub(crate) fn quote(&self, body: &[u8]) -> String {
        self.redactor.truncate(body, LONGEST_QUOTE)
    }

    /// A request that got no reply, or only a part of one.
    pub(super) fn transport(&self, error: reqwest::Error, timeout: Duration) -> EngineError {
        let error = error.without_url();
        let (kind, what) = if error.is_connect() {
            (
                ErrorKind::Connection,
                "could not connect; check that the server runs and the address is right".to_owned(),
            )
        } else if error.is_timeout() {
            (ErrorKind::Timeout, format!("no whole reply within {timeout:?}"))
        } else if error.is_builder() {
            (ErrorKind::InvalidRequest, "the request could not be built".to_owned())
        } else {
            (ErrorKind::Connection, "the connection broke before the reply was whole".to_owned())
        };
        self.error(kind, what).with_source(error)
    }

    /// A reply that holds an error of the server; `kind` and status are the caller's to set.
    pub(super) fn server(&self, kind: ErrorKind, error: &ServerError) -> EngineError {
        let message = self.quote(error.message.as_bytes());
        let words = [error.class.as_deref(), error.code.as_deref()];
        let words: Vec<&str> =
            words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
        let words = match words.as_slice() {
            [] => String::new(),
            words => format!(" [{}]", self.redactor.quote(&words.join(", "), 80)),
        };
        self.error(kind, format!("the server says: {message}{words}{}", advice(kind)))
    }

    /// A failed reply in no known shape.
    pub(super) fn unreadable(&self, kind: ErrorKind, body: &[u8]) -> EngineError {
        let quote = self.quote(body);
        let what = if quote.is_empty() {
            "the server failed without saying why".to_owned()
        } else {
            format!("the server failed with `{quote}`")
        };
        let is_page = body.trim_ascii_start().starts_with(b"<");
        let advice = match kind {
            ErrorKind::Auth if is_page => {
                "; a proxy or a firewall before the server refuses the request"
            }
            kind => advice(kind),
        };
        self.error(kind, format!("{what}{advice}"))
    }
}
