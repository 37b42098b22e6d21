//! The log of a server: a line for each request, and failures of servers behind it.
//!
//! Lines hold no text of requests and answers, and no key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use textgrad_core::truncate;
use tokio::time::Instant;

use super::error::ApiError;

/// How often failures of one kind are logged.
const INTERVAL: Duration = Duration::from_secs(60);
/// The longest path or model name in a line, in characters.
const MAX_NAME: usize = 80;

/// The line of one request. It is logged when the last clone is dropped: at the end of a stream, for instance.
#[derive(Clone)]
pub(crate) struct RequestLog(Arc<LoggedRequest>);

struct LoggedRequest {
    begun: Instant,
    method: String,
    path: String,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    id: Option<String>,
    key: Option<String>,
    model: Option<String>,
    status: Option<u16>,
    end: Option<&'static str>,
}

impl RequestLog {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let (method, path) = (truncate(method, MAX_NAME), truncate(path, MAX_NAME));
        let state = Mutex::default();
        Self(Arc::new(LoggedRequest { begun: Instant::now(), method, path, state }))
    }

    /// Sets the id that the client gets.
    pub(crate) fn id(&self, id: &str) {
        self.0.state.lock().id = Some(id.to_owned());
    }

    /// Sets the name of the client's key.
    pub(crate) fn key(&self, name: &str) {
        self.0.state.lock().key = Some(name.to_owned());
    }

    /// Sets the model that the client names.
    pub(crate) fn model(&self, name: &str) {
        self.0.state.lock().model = Some(truncate(name, MAX_NAME));
    }

    pub(crate) fn status(&self, status: StatusCode) {
        self.0.state.lock().status = Some(status.as_u16());
    }

    /// Sets how the answer ended. One that names a model and does not end was cancelled.
    pub(crate) fn end(&self, end: &'static str) {
        self.0.state.lock().end = Some(end);
    }
}

impl Drop for LoggedRequest {
    fn drop(&mut self) {
        let LogState { id, key, model, status, end } = std::mem::take(self.state.get_mut());
        let is_refused = status.is_some_and(|status| status >= 400);
        let end = end.or(match (is_refused, &model, status) {
            (true, ..) => Some("failed"),
            (_, Some(_), _) | (_, _, None) => Some("cancelled"),
            _ => None,
        });
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            id,
            method = self.method,
            path = self.path,
            model,
            key,
            status,
            ms,
            end,
            "request"
        );
    }
}

/// Bounds a log: one line a minute for each kind.
#[derive(Default)]
pub(crate) struct FailureLog(Mutex<BTreeMap<&'static str, (Instant, u64)>>);

impl FailureLog {
    /// Whether a line of a kind is due: then the number of those that were left out since the last one.
    pub(crate) fn due(&self, kind: &'static str) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.0.lock();
        match kinds.get_mut(kind) {
            Some((last, left_out)) if now.duration_since(*last) < INTERVAL => {
                *left_out += 1;
                None
            }
            _ => Some(kinds.insert(kind, (now, 0)).map_or(0, |(_, left_out)| left_out)),
        }
    }

    /// Logs what a client is not sent of an error.
    pub(crate) fn note(&self, id: &str, error: &ApiError) {
        let Some(detail) = error.detail() else { return };
        let kind = error.name();
        let Some(left_out) = self.due(kind) else { return };
        tracing::warn!(id, kind, error = detail, left_out, "a request failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_of_a_kind_are_logged_once_a_minute() {
        let log = FailureLog::default();
        assert_eq!(log.due("a"), Some(0));
        assert_eq!((log.due("a"), log.due("a"), log.due("b")), (None, None, Some(0)));
        tokio::time::advance(INTERVAL).await;
        assert_eq!((log.due("a"), log.due("a")), (Some(2), None));
    }
}
