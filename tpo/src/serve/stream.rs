//! Answers as server-sent events: progress, then the answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::admission::Permit;
use super::app::App;
use super::error::ApiError;
use super::finish;
use super::search::{Answered, Job, Progress, run};

/// How long a search may fail with a status of its own before its stream begins.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// Pieces and events that wait for a client; it misses further events.
const CAPACITY: usize = 64;

/// The events of one API.
pub(crate) trait StreamForm: Send + 'static {
    /// Events before anything is known.
    fn begin(&mut self, app: &App, job: &Job) -> Vec<Bytes>;
    /// A scored answer.
    fn progress(&mut self, job: &Job, progress: &Progress) -> Vec<Bytes>;
    /// The answer, and the end.
    fn end(&mut self, app: &App, job: &Job, answered: &Answered) -> Vec<Bytes>;
    /// A failure, which is the end.
    fn error(&mut self, job: &Job, error: &ApiError) -> Vec<Bytes>;
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Searches and streams. A search that fails soon, before any answer is scored, is an error with its own status.
pub(crate) async fn streamed(
    app: Arc<App>,
    job: Box<Job>,
    permit: Permit,
    form: impl StreamForm,
) -> Result<Response, ApiError> {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let (started, has_started) = oneshot::channel();
    let keep_alive = app.options.keep_alive;
    // The task ends with the stream: a client that leaves cancels its search.
    let task = Owned(tokio::spawn(work(app, job, permit, form, sender, started)));
    if let Ok(Ok(Err(error))) = timeout(MAX_SILENCE.min(keep_alive), has_started).await {
        return Err(error);
    }
    Ok(response(receiver, keep_alive, task))
}

async fn work(
    app: Arc<App>,
    job: Box<Job>,
    permit: Permit,
    mut form: impl StreamForm,
    sender: mpsc::Sender<Bytes>,
    started: oneshot::Sender<Result<(), ApiError>>,
) {
    let listed = app.recent.begin(&job);
    let mut started = Some(started);
    for event in form.begin(&app, &job) {
        let _ = sender.try_send(event);
    }
    let (progress, mut events) = mpsc::channel(CAPACITY);
    let mut forward = |form: &mut dyn StreamForm, event: &Progress| {
        if let Some(started) = started.take() {
            let _ = started.send(Ok(()));
        }
        if job.options.progress != Some(false) {
            for event in form.progress(&job, event) {
                let _ = sender.try_send(event);
            }
        }
    };
    let outcome = {
        let search = run(&app, &job, Some(progress));
        tokio::pin!(search);
        loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => forward(&mut form, &event),
                outcome = &mut search => break outcome,
            }
        }
    };
    while let Ok(event) = events.try_recv() {
        forward(&mut form, &event);
    }
    // A client that reads slowly holds no place.
    drop(permit);
    let last = match &outcome {
        Ok(answered) => {
            finish(&app, &job, answered);
            form.end(&app, &job, answered)
        }
        Err(error) => {
            if let Some(started) = started.take()
                && started.send(Err(error.clone())).is_ok()
            {
                return;
            }
            form.error(&job, error)
        }
    };
    drop(listed);
    if let Some(started) = started.take() {
        let _ = started.send(Ok(()));
    }
    for event in joined(&last) {
        if !matches!(timeout(app.options.write_timeout, sender.send(event)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Events that are all there, in pieces of a connection's buffer: one by one, each costs a wake-up and a write.
fn joined(events: &[Bytes]) -> Vec<Bytes> {
    const PIECE: usize = 16 * 1024;
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for event in events {
        match pieces.last_mut().filter(|piece| piece.len() + event.len() <= PIECE) {
            Some(piece) => piece.extend_from_slice(event),
            None => pieces.push(event.to_vec()),
        }
    }
    pieces.into_iter().map(Bytes::from).collect()
}

/// The response of a stream, with comments in its silences.
fn response(receiver: mpsc::Receiver<Bytes>, keep_alive: Duration, task: Owned) -> Response {
    let events = stream::unfold((receiver, task), move |(mut receiver, task)| async move {
        let event = match timeout(keep_alive, receiver.recv()).await {
            Ok(event) => event?,
            Err(_) => Bytes::from_static(b": keep-alive\n\n"),
        };
        Some((Ok::<_, Infallible>(event), (receiver, task)))
    });
    events_response(Body::from_stream(events))
}

/// A response of events.
pub(crate) fn events_response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx passes events on as they are.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// An event without a name.
pub(crate) fn data(json: &Json) -> Bytes {
    format!("data: {json}\n\n").into()
}

/// A text in pieces of about so many bytes, split at spaces.
pub(crate) fn pieces(text: &str) -> Vec<&str> {
    const PIECE: usize = 64;
    let mut pieces = Vec::new();
    let (mut start, mut end) = (0, 0);
    for word in text.split_inclusive(char::is_whitespace) {
        end += word.len();
        if end - start >= PIECE {
            pieces.extend(text.get(start..end));
            start = end;
        }
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_events_are_the_events() {
        for (count, length) in [(0, 1), (1, 1), (3, 20_000), (500, 100)] {
            let events: Vec<Bytes> = (0..count).map(|i| vec![i as u8; length].into()).collect();
            let pieces = joined(&events);
            assert_eq!(pieces.concat(), events.concat());
            assert!(pieces.len() <= 1 + count * length / 8_000, "{} of {count}", pieces.len());
        }
    }

    #[test]
    fn pieces_are_the_text() {
        let long = "Ein längerer Text, mit Zeilen\nund Wörtern. ".repeat(9);
        for text in ["", "one", " ", &long, &"x".repeat(500)] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert!(pieces(&long).len() > 4);
    }
}
