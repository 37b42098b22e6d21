//! Errors as servers write them.

use std::fmt;
use std::str::FromStr;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use textgrad_core::{EngineError, ErrorKind};

/// How the body of an error is shaped. The 401 of a wrong key is a string in every shape, as vLLM has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorShape {
    /// `{"error":{"message","type","param","code"}}`: OpenAI, and vLLM since 0.10.2.
    #[default]
    Nested,
    /// `{"object":"error","message","type","param","code"}`: SGLang, and vLLM before.
    Flat,
    /// `{"error":"message"}`.
    String,
    /// `{"error":"message","error_type":"validation"}`: text-embeddings-inference.
    Typed,
    /// The message alone, which is no JSON: servers that do not look after their errors.
    Text,
}

/// The name of an [`ErrorShape`] that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseErrorShapeError(String);

impl fmt::Display for ParseErrorShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected an error shape (nested, flat, string, typed or text), got `{}`", self.0)
    }
}

impl std::error::Error for ParseErrorShapeError {}

impl FromStr for ErrorShape {
    type Err = ParseErrorShapeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nested" => Ok(Self::Nested),
            "flat" => Ok(Self::Flat),
            "string" => Ok(Self::String),
            "typed" => Ok(Self::Typed),
            "text" => Ok(Self::Text),
            other => Err(ParseErrorShapeError(other.to_owned())),
        }
    }
}

/// An error before it is shaped.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Value,
    message: String,
}

impl ApiError {
    /// An error whose type is the one vLLM gives to the status and whose code is the status.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::BAD_REQUEST => "BadRequestError",
            StatusCode::NOT_FOUND => "NotFoundError",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableError",
            _ => "InternalServerError",
        };
        Self { status, kind, code: json!(status.as_u16()), message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// OpenAI's 429 for too many requests.
    pub(super) fn rate_limit() -> Self {
        Self {
            kind: "requests",
            code: json!("rate_limit_exceeded"),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "Rate limit reached for requests.")
        }
    }

    /// OpenAI's 429 for an account without credit.
    pub(super) fn quota() -> Self {
        Self {
            kind: "insufficient_quota",
            code: json!("insufficient_quota"),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "You exceeded your current quota.")
        }
    }

    /// The same error with another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self::new(status, self.message)
    }

    /// What text-embeddings-inference calls it.
    fn error_type(&self) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST => "empty",
            StatusCode::UNPROCESSABLE_ENTITY => "validation",
            StatusCode::TOO_MANY_REQUESTS => "overloaded",
            StatusCode::SERVICE_UNAVAILABLE => "unhealthy",
            _ => "backend",
        }
    }

    /// The object inside `error`.
    pub(super) fn object(&self) -> Value {
        json!({
            "message": self.message,
            "type": self.kind,
            "param": null,
            "code": self.code,
        })
    }

    pub(super) fn response(&self, shape: ErrorShape) -> Response {
        let body = match shape {
            ErrorShape::Nested => json!({ "error": self.object() }),
            ErrorShape::Flat => {
                let mut body = self.object();
                if let Value::Object(fields) = &mut body {
                    fields.insert("object".to_owned(), json!("error"));
                }
                body
            }
            ErrorShape::String => json!({ "error": self.message }),
            ErrorShape::Typed => json!({ "error": self.message, "error_type": self.error_type() }),
            ErrorShape::Text => return (self.status, self.message.clone()).into_response(),
        };
        json_response(self.status, body.to_string())
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error.kind() {
            ErrorKind::Quota => Self::quota(),
            ErrorKind::RateLimited => Self::rate_limit(),
            kind => {
                let status = match kind {
                    ErrorKind::InvalidRequest | ErrorKind::Unsupported => StatusCode::BAD_REQUEST,
                    ErrorKind::NotFound => StatusCode::NOT_FOUND,
                    ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                Self::new(status, error.message())
            }
        }
    }
}

/// vLLM's answer to a missing or wrong key.
pub(super) fn unauthorized() -> Response {
    let body = json!({ "error": "Unauthorized" }).to_string();
    json_response(StatusCode::UNAUTHORIZED, body)
}

pub(super) fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
