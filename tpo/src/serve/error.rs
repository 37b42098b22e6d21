//! Errors in the shape of OpenAI's API.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json_, json};
use textgrad_core::{EngineError, ErrorKind, describe};

use crate::error::Error;

/// An error that a client is sent.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    /// In seconds.
    retry_after: Option<u64>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let (code, param, retry_after) = (None, None, None);
        Self { status, kind, code, param, message: message.into(), retry_after }
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

    /// A failure of the policy, of the reward model or of another server behind this one.
    pub(crate) fn upstream(error: &EngineError) -> Self {
        let (status, code) = match error.kind() {
            ErrorKind::Refused => (StatusCode::BAD_REQUEST, "content_filter"),
            ErrorKind::InvalidRequest => (StatusCode::BAD_REQUEST, "upstream_invalid_request"),
            ErrorKind::Unsupported => (StatusCode::BAD_REQUEST, "upstream_unsupported"),
            ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            ErrorKind::RateLimited => (StatusCode::SERVICE_UNAVAILABLE, "upstream_rate_limit"),
            ErrorKind::Loading => (StatusCode::SERVICE_UNAVAILABLE, "upstream_loading"),
            ErrorKind::Quota | ErrorKind::Budget => {
                (StatusCode::SERVICE_UNAVAILABLE, "upstream_quota")
            }
            ErrorKind::Auth => (StatusCode::BAD_GATEWAY, "upstream_auth"),
            ErrorKind::Connection => (StatusCode::BAD_GATEWAY, "upstream_connection"),
            ErrorKind::NoAnswer => (StatusCode::BAD_GATEWAY, "upstream_no_answer"),
            _ => (StatusCode::BAD_GATEWAY, "upstream_error"),
        };
        let kind = match status.is_client_error() {
            true => "invalid_request_error",
            false => "server_error",
        };
        let after = error.retry_after().map(|after| after.as_secs().max(1));
        Self { retry_after: after, ..Self::new(status, kind, describe(error)).code(code) }
    }

    /// A search that failed without an answer.
    pub(crate) fn search(error: &Error) -> Self {
        if let Some(engine) = error.engine() {
            return Self { message: describe(error), ..Self::upstream(engine) };
        }
        match error {
            Error::Config { .. } | Error::Query { .. } => Self::invalid("", describe(error)),
            Error::Stopped => Self::draining(),
            Error::NoAnswer | Error::Score { .. } | Error::ScoreCount { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "server_error", describe(error))
                    .code("upstream_error")
            }
            // Messages about files are not for clients.
            _ => {
                tracing::error!(error = describe(error), "a request failed");
                Self::internal("an error within the server; its log on standard error says which")
            }
        }
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
