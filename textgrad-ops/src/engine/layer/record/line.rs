//! The lines of a recording.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use textgrad_core::{EngineError, ErrorKind, Request, Response};

const FORMAT: &str = "textgrad-recording";
/// Goes up when an older reader would misread the lines.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    format: String,
    version: u32,
    pub(super) engine: String,
    pub(super) is_simulation: bool,
}

impl Header {
    pub(super) fn new(engine: &str, is_simulation: bool) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            engine: engine.to_owned(),
            is_simulation,
        }
    }

    /// What is wrong with the header, if anything is.
    pub(super) fn complaint(&self) -> Option<String> {
        (self.format != FORMAT || self.version != VERSION).then(|| {
            format!(
                "expected a {FORMAT} of version {VERSION}, got a {:?} of version {}",
                self.format, self.version
            )
        })
    }
}

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) request: Request,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Response(Response),
    Error(Failure),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Failure {
    kind: String,
    message: String,
    retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
}

/// All kinds that can be told from their name.
const KINDS: [ErrorKind; 11] = [
    ErrorKind::Auth,
    ErrorKind::Quota,
    ErrorKind::RateLimited,
    ErrorKind::InvalidRequest,
    ErrorKind::NotFound,
    ErrorKind::Timeout,
    ErrorKind::Connection,
    ErrorKind::Server,
    ErrorKind::BadResponse,
    ErrorKind::Unsupported,
    ErrorKind::Other,
];

impl Line {
    pub(super) fn new(request: &Request, result: &Result<Response, EngineError>) -> Self {
        Self {
            request: request.clone(),
            outcome: match result {
                Ok(response) => Outcome::Response(response.clone()),
                Err(error) => Outcome::Error(Failure {
                    kind: error.kind().as_str().to_owned(),
                    message: error.message().to_owned(),
                    retryable: error.is_retryable(),
                    status: error.status(),
                    retry_after: error.retry_after(),
                }),
            },
        }
    }

    /// What the call came to.
    pub(super) fn result(self) -> Result<Response, EngineError> {
        match self.outcome {
            Outcome::Response(response) => Ok(response),
            Outcome::Error(failure) => Err(failure.into()),
        }
    }
}

impl From<Failure> for EngineError {
    fn from(failure: Failure) -> Self {
        let kind = KINDS.into_iter().find(|kind| kind.as_str() == failure.kind);
        let mut error = Self::new(kind.unwrap_or(ErrorKind::Other), failure.message)
            .with_retryable(failure.retryable);
        if let Some(status) = failure.status {
            error = error.with_status(status);
        }
        if let Some(delay) = failure.retry_after {
            error = error.with_retry_after(delay);
        }
        error
    }
}
