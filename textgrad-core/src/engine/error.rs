//! Errors of calls.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

use super::Usage;

/// The class of an [`EngineError`]: what a caller would decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key is missing, wrong, or not allowed to do this. Final.
    Auth,
    /// The account has no credit or budget left. Final.
    Quota,
    /// The caller's own bound on calls, tokens or money is reached. Final, and not the server's doing.
    Budget,
    /// Too many requests or tokens for now.
    RateLimited,
    /// The request itself is wrong: asking again cannot help.
    InvalidRequest,
    /// No such model or path. Final.
    NotFound,
    /// No answer in time.
    Timeout,
    /// The server could not be reached, or the connection broke.
    Connection,
    /// The server failed.
    Server,
    /// The server runs, and its model is not loaded yet.
    Loading,
    /// A reply that breaks the protocol.
    BadResponse,
    /// A reply without an answer: it is blank, or ended within its reasoning.
    NoAnswer,
    /// The model or its provider declined the content of the request or of the answer. Final.
    Refused,
    /// The engine cannot do what the request asks (images, several answers, ...). Final.
    Unsupported,
    /// Anything else. Final.
    #[serde(other)]
    Other,
}

impl ErrorKind {
    /// Whether errors of this class usually pass by themselves.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Timeout
                | Self::Connection
                | Self::Server
                | Self::Loading
                | Self::BadResponse
                | Self::NoAnswer
        )
    }

    /// The name used in journals, traces and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A call that failed: what was expected, what was received, and whether a retry can help.
///
/// Cheap to clone, so that callers who shared one call can share its failure.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use textgrad_core::{EngineError, ErrorKind};
///
/// let error = EngineError::new(ErrorKind::RateLimited, "the server asks to slow down")
///     .with_status(429)
///     .with_retry_after(Duration::from_secs(2));
/// assert!(error.is_retryable());
/// assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
/// assert_eq!(error.to_string(), "the server asks to slow down (HTTP 429)");
/// ```
#[derive(Debug, Clone, Serialize, Deserialize, Setters)]
#[setters(generate = false, prefix = "with_", strip_option)]
pub struct EngineError {
    kind: ErrorKind,
    /// Replaces the message and keeps all else.
    #[setters(generate, into)]
    message: String,
    /// Sets the HTTP status.
    #[setters(generate)]
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Sets how long the server asks to wait.
    #[setters(generate)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
    /// Sets the server's own word on whether to try again; it overrides the class's.
    #[setters(generate)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    // Boxed: errors are returned by value everywhere, and hardly one has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Box<Usage>>,
    #[serde(skip)]
    context: Option<Box<ErrorContext>>,
}

/// What is known of an error only in the process that it occurred in.
#[derive(Debug, Clone, Default)]
struct ErrorContext {
    server_words: Option<Arc<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl EngineError {
    /// An error of a class, with a message: what was expected, what was received and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            retry_after: None,
            retryable: None,
            usage: None,
            context: None,
        }
    }

    /// The tokens that the server counted although the call failed, as for an answer that it then withheld.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = (usage != Usage::default()).then(|| Box::new(usage));
        self
    }

    /// What caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.context.get_or_insert_default().source = Some(Arc::new(source));
        self
    }

    /// What the server itself says, without address and advice, for those who may not see them.
    #[must_use]
    pub fn with_server_words(mut self, words: impl Into<Arc<str>>) -> Self {
        self.context.get_or_insert_default().server_words = Some(words.into());
        self
    }

    /// The class.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message alone, without the status.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP status, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How long the server asks to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the server itself says, where it says anything: the message without address and advice.
    #[must_use]
    pub fn server_words(&self) -> Option<&str> {
        self.context.as_ref()?.server_words.as_deref()
    }

    /// The tokens that the server is known to have counted; none where nothing is known.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage.as_deref().copied().unwrap_or_default()
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable.unwrap_or_else(|| self.kind.is_retryable())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.status {
            Some(status) => write!(f, " (HTTP {status})"),
            None => Ok(()),
        }
    }
}

impl StdError for EngineError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.context.as_ref()?.source.as_deref();
        source.map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_class_unless_overridden() {
        let retryable = [
            ErrorKind::RateLimited,
            ErrorKind::Timeout,
            ErrorKind::Connection,
            ErrorKind::Server,
            ErrorKind::Loading,
            ErrorKind::BadResponse,
            ErrorKind::NoAnswer,
        ];
        let last = [
            ErrorKind::Auth,
            ErrorKind::Quota,
            ErrorKind::InvalidRequest,
            ErrorKind::NotFound,
            ErrorKind::Refused,
            ErrorKind::Unsupported,
            ErrorKind::Other,
        ];
        for kind in retryable {
            assert!(EngineError::new(kind, "x").is_retryable(), "{kind}");
            assert!(!EngineError::new(kind, "x").with_retryable(false).is_retryable(), "{kind}");
        }
        for kind in last {
            assert!(!EngineError::new(kind, "x").is_retryable(), "{kind}");
            assert!(EngineError::new(kind, "x").with_retryable(true).is_retryable(), "{kind}");
        }
    }

    #[test]
    fn the_cause_is_only_in_the_source() {
        let error = EngineError::new(ErrorKind::Connection, "could not connect")
            .with_source(std::io::Error::other("refused"));
        assert_eq!(error.to_string(), "could not connect");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("refused"));
    }
}
