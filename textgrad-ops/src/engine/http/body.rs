//! Reading a body of bounded size.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use textgrad_core::{EngineError, ErrorKind};

use super::report::Report;

/// A body that is read piece by piece, never past its bound.
#[derive(Debug)]
pub(super) struct Body {
    response: reqwest::Response,
    read: usize,
    limit: usize,
    timeout: Duration,
}

impl Body {
    pub(super) fn new(response: reqwest::Response, limit: usize, timeout: Duration) -> Self {
        Self { response, read: 0, limit, timeout }
    }

    /// Whether the content type is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(
        &mut self,
        report: &Report,
    ) -> Result<Option<impl AsRef<[u8]> + use<>>, EngineError> {
        let chunk =
            self.response.chunk().await.map_err(|error| report.transport(error, self.timeout))?;
        if let Some(chunk) = &chunk {
            self.read = self.read.saturating_add(chunk.len());
            if self.read > self.limit {
                return Err(too_large(report, self.limit));
            }
        }
        Ok(chunk)
    }

    /// The whole body.
    pub(super) async fn whole(mut self, report: &Report) -> Result<Vec<u8>, EngineError> {
        let announced = self.response.content_length();
        if announced.is_some_and(|length| {
            usize::try_from(length).map_or(true, |length| length > self.limit)
        }) {
            return Err(too_large(report, self.limit));
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.next(report).await? {
            body.extend_from_slice(chunk.as_ref());
        }
        Ok(body)
    }

    /// The beginning of the body, up to its bound: enough of an error to read it.
    pub(super) async fn beginning(mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = self.response.chunk().await {
            let room = self.limit.saturating_sub(body.len());
            body.extend(chunk.iter().take(room));
            if body.len() >= self.limit {
                break;
            }
        }
        body
    }
}

fn too_large(report: &Report, limit: usize) -> EngineError {
    report
        .error(
            ErrorKind::BadResponse,
            format!("the reply is larger than {limit} bytes; ask for less, or raise the limit of the client"),
        )
        .with_retryable(false)
}
