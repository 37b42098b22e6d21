//! Errors in the shape of OpenAI's API.

use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json_, json};
use textgrad_core::{EngineError, ErrorKind, describe};

use crate::error::Error;

/// An error that a client is sent. Of servers behind this one, it has the class of the failure and their own words:
/// addresses and advice for the operator are in the log.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    /// What only the operator is shown.
    detail: Option<Box<str>>,
    /// In seconds.
    retry_after: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let (code, param, detail, retry_after) = (None, None, None, None);
        Self { status, kind, code, param, message: message.into(), detail, retry_after }
    }

    /// A request that cannot be served as it is.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let param = Some(param.into()).filter(|param| !param.is_empty());
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message) }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message).code("not_found")
    }

    pub(crate) fn model_not_found(message: impl Into<String>) -> Self {
        let error = Self::not_found(message).code("model_not_found");
        Self { param: Some("model".to_owned()), ..error }
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "expected a known key in the header Authorization: Bearer KEY";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
            .code("invalid_api_key")
    }

    pub(crate) fn encoded() -> Self {
        let message = "expected a body without content-encoding";
        let error = Self::invalid("content-encoding", message);
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, ..error }
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("expected a body of at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
            .code("request_too_large")
    }

    /// A request that does not arrive in time.
    pub(crate) fn slow_request() -> Self {
        let message = "the body of the request did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message)
            .code("request_timeout")
    }

    /// Too many requests: of all clients, or of one key.
    pub(crate) fn busy(message: impl Into<String>, retry_after: u64) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
        Self { retry_after: Some(retry_after), ..error.code("rate_limit_exceeded") }
    }

    pub(crate) fn draining() -> Self {
        let message = "the server is shutting down; send the request to another one";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message);
        Self { retry_after: Some(1), ..error.code("shutting_down") }
    }

    /// No answer before the deadline.
    pub(crate) fn deadline() -> Self {
        let message = "the deadline passed before any answer was scored; raise deadline_ms";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", message).code("deadline_exceeded")
    }

    /// The budget was used up before any answer was scored.
    pub(crate) fn budget() -> Self {
        let message = "the budget was used up before any answer was scored; raise it";
        let error = Self::invalid("tpo", message);
        error.code("budget_exceeded")
    }

    /// The same request twice at a time.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "invalid_request_error", message).code("conflict")
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// A failure of the policy or of another engine.
    pub(crate) fn upstream(error: &EngineError) -> Self {
        Self::behind("the model's server", error, error)
    }

    /// A failure of a server behind this one.
    fn behind(what: &str, error: &EngineError, whole: &(dyn StdError + 'static)) -> Self {
        let (status, code, class) = match error.kind() {
            ErrorKind::Refused => {
                (StatusCode::BAD_REQUEST, "content_filter", "declines the content")
            }
            ErrorKind::InvalidRequest => {
                (StatusCode::BAD_REQUEST, "upstream_invalid_request", "refuses the request")
            }
            ErrorKind::Unsupported => {
                (StatusCode::BAD_REQUEST, "upstream_unsupported", "cannot do what the request asks")
            }
            ErrorKind::Timeout => {
                (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "does not answer in time")
            }
            ErrorKind::RateLimited => {
                (StatusCode::SERVICE_UNAVAILABLE, "upstream_rate_limit", "gets too many requests")
            }
            ErrorKind::Loading => {
                (StatusCode::SERVICE_UNAVAILABLE, "upstream_loading", "loads its model")
            }
            ErrorKind::Quota | ErrorKind::Budget => {
                (StatusCode::SERVICE_UNAVAILABLE, "upstream_quota", "has no credit left")
            }
            ErrorKind::Auth => {
                (StatusCode::BAD_GATEWAY, "upstream_auth", "does not accept this server's key")
            }
            ErrorKind::Connection => {
                (StatusCode::BAD_GATEWAY, "upstream_connection", "cannot be reached")
            }
            ErrorKind::NoAnswer => {
                (StatusCode::BAD_GATEWAY, "upstream_no_answer", "gives no answer")
            }
            _ => (StatusCode::BAD_GATEWAY, "upstream_error", "fails"),
        };
        let kind = match status.is_client_error() {
            true => "invalid_request_error",
            false => "server_error",
        };
        let message = match words(error) {
            Some(words) => format!("{what} {class}: {words}"),
            None => format!("{what} {class}"),
        };
        let error_after = error.retry_after().map(|after| after.as_secs().max(1));
        let error = Self::new(status, kind, message).code(code).detail_of(whole);
        Self { retry_after: error_after, ..error }
    }

    /// A search that failed without an answer.
    pub(crate) fn search(error: &Error) -> Self {
        if let Some(engine) = error.engine() {
            let what = match error {
                Error::Reward { .. } => "the reward model",
                _ => "the model's server",
            };
            return Self::behind(what, engine, error);
        }
        match error {
            Error::Config { .. } | Error::Query { .. } => Self::invalid("", describe(error)),
            Error::Stopped => Self::draining(),
            Error::JournalWrite { .. } => Self::not_recorded(error),
            Error::NoAnswer | Error::Score { .. } | Error::ScoreCount { .. } => {
                let error = describe(error);
                Self::new(StatusCode::BAD_GATEWAY, "server_error", error).code("upstream_error")
            }
            // Messages about files are not for clients.
            _ => Self::internal("an error within the server; its log says which").detail_of(error),
        }
    }

    /// A request whose record cannot be written, as while a disk is full.
    pub(crate) fn not_recorded(error: &(dyn StdError + 'static)) -> Self {
        let message = "the server cannot record the request; try again later";
        let unavailable = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message);
        let unavailable = unavailable.code("not_recorded").detail_of(error);
        Self { retry_after: Some(1), ..unavailable }
    }

    fn detail_of(self, error: &(dyn StdError + 'static)) -> Self {
        Self { detail: Some(describe(error).into()), ..self }
    }

    /// What only the operator is shown.
    pub(crate) fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The code, or else the type.
    pub(crate) fn name(&self) -> &'static str {
        self.code.unwrap_or(self.kind)
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The body: `{"error": {..}}`.
    pub(crate) fn body(&self) -> Json_ {
        json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }
}

/// The words of a server, or of an engine that has no address. Addresses in them are left out.
fn words(error: &EngineError) -> Option<String> {
    let own = Some(error.message()).filter(|message| !message.contains("://"));
    let words = error.server_words().or(own).filter(|words| !words.is_empty())?;
    let is_address = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        word.contains("://") || word.parse::<IpAddr>().is_ok() || word.parse::<SocketAddr>().is_ok()
    };
    let shown = |word| if is_address(word) { "[address]" } else { word };
    Some(words.split_whitespace().map(shown).collect::<Vec<_>>().join(" "))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_advice_are_for_the_operator() {
        let message = "POST http://10.0.0.7:8000/v1/chat/completions: the server says: bad key; check the key";
        let error = EngineError::new(ErrorKind::Auth, message);
        let shown = ApiError::upstream(&error);
        assert_eq!(shown.message(), "the model's server does not accept this server's key");
        assert_eq!(shown.detail(), Some(message));
        let words = "cannot connect to 10.0.0.7:8000, see http://intra/wiki now";
        let shown = ApiError::upstream(&error.with_server_words(words));
        let expected = "cannot connect to [address] see [address] now";
        assert!(shown.message().ends_with(expected), "{}", shown.message());
    }
}
