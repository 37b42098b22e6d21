//! The outcome of a call as JSON, in recordings and run logs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use textgrad_core::{EngineError, ErrorKind, Response, Usage};

/// A response or an error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallOutcome {
    Response(Response),
    Error(FailedCall),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FailedCall {
    kind: ErrorKind,
    message: String,
    retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
    #[serde(default, skip_serializing_if = "is_none")]
    usage: Usage,
}

fn is_none(usage: &Usage) -> bool {
    *usage == Usage::default()
}

impl From<&Result<Response, EngineError>> for CallOutcome {
    fn from(result: &Result<Response, EngineError>) -> Self {
        match result {
            Ok(response) => Self::Response(response.clone()),
            Err(error) => Self::Error(FailedCall {
                kind: error.kind(),
                message: error.message().to_owned(),
                retryable: error.is_retryable(),
                status: error.status(),
                retry_after: error.retry_after(),
                usage: error.usage(),
            }),
        }
    }
}

impl From<CallOutcome> for Result<Response, EngineError> {
    fn from(outcome: CallOutcome) -> Self {
        match outcome {
            CallOutcome::Response(response) => Ok(response),
            CallOutcome::Error(failure) => Err(failure.into()),
        }
    }
}

impl From<FailedCall> for EngineError {
    fn from(failure: FailedCall) -> Self {
        let mut error = Self::new(failure.kind, failure.message)
            .with_retryable(failure.retryable)
            .with_usage(failure.usage);
        if let Some(status) = failure.status {
            error = error.with_status(status);
        }
        if let Some(delay) = failure.retry_after {
            error = error.with_retry_after(delay);
        }
        error
    }
}
