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
use super::api::{Api, search};
use super::app::App;
use super::error::ApiError;
use super::log::RequestLog;
use super::options::DraftForm;
use super::reply::Reply;
use super::search::{Job, Progress};

/// How long a search may fail with a status of its own before its stream begins.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// Pieces and events that wait for a client; it misses further events.
const CAPACITY: usize = 64;

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Searches and streams. A search that fails soon, before any answer is scored, is an error with its own status.
pub(crate) async fn streamed<A: Api>(
    app: Arc<App>,
    job: Box<Job>,
    permit: Permit,
    log: RequestLog,
) -> Result<Response, ApiError> {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let (started, has_started) = oneshot::channel();
    let keep_alive = app.options.keep_alive;
    // The task ends with the stream: a client that leaves cancels its search.
    let task = Owned(tokio::spawn(work::<A>(app, job, permit, log, sender, started)));
    if let Ok(Ok(Err(error))) = timeout(MAX_SILENCE.min(keep_alive), has_started).await {
        return Err(error);
    }
    Ok(response(receiver, keep_alive, task))
}

async fn work<A: Api>(
    app: Arc<App>,
    job: Box<Job>,
    permit: Permit,
    log: RequestLog,
    sender: mpsc::Sender<Bytes>,
    started: oneshot::Sender<Result<(), ApiError>>,
) {
    let mut stream = Events::<A> { api: A::default(), job: &job, sender, started: Some(started) };
    stream.offer(|api| api.begin(&job.head()));
    let (progress, mut events) = mpsc::unbounded_channel();
    let mut draft = Draft::default();
    draft.is_wanted = job.options.draft == Some(DraftForm::Content);
    let outcome = {
        let search = search(&app, &job, Some(progress));
        tokio::pin!(search);
        loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => {
                    stream.progress(&event);
                    draft.see(event);
                    // The events of an iteration are there together.
                    if events.is_empty() && let Some(text) = draft.ready() {
                        draft.is_sent = stream.draft(text);
                    }
                }
                outcome = &mut search => break outcome,
            }
        }
    };
    while let Ok(event) = events.try_recv() {
        stream.progress(&event);
    }
    // A client that reads slowly holds no place.
    drop(permit);
    let last = match outcome {
        Ok(answered) => {
            let reply = Reply::of_search(&job, &answered, draft.sent(), app.simulated);
            let text = match draft.sent() {
                Some(_) => Vec::new(),
                None => stream.api.text(&job.head(), reply.text()),
            };
            log.end(answered.end.as_str());
            [text, stream.api.end(&reply)].concat()
        }
        Err(error) => {
            if let Some(started) = stream.started.take()
                && started.send(Err(error.clone())).is_ok()
            {
                return;
            }
            app.failures.note(&job.id, &error);
            log.end("failed");
            stream.api.error(&error)
        }
    };
    stream.start();
    for event in joined(&last) {
        // Fails when the connection has ended, as that of a client which does not read does.
        if stream.sender.send(event).await.is_err() {
            return;
        }
    }
}

/// The events of one stream.
struct Events<'a, A> {
    api: A,
    job: &'a Job,
    sender: mpsc::Sender<Bytes>,
    /// To be told when the first answer is scored.
    started: Option<oneshot::Sender<Result<(), ApiError>>>,
}

impl<A: Api> Events<'_, A> {
    fn start(&mut self) {
        if let Some(started) = self.started.take() {
            let _ = started.send(Ok(()));
        }
    }

    /// Sends events that a client which does not read may miss.
    fn offer(&mut self, events: impl FnOnce(&mut A) -> Vec<Bytes>) {
        for event in events(&mut self.api) {
            let _ = self.sender.try_send(event);
        }
    }

    fn progress(&mut self, progress: &Progress) {
        self.start();
        let job = self.job;
        if job.options.progress != Some(false) {
            self.offer(|api| api.progress(&job.head(), progress));
        }
    }

    /// Sends the text of a draft, unless the client does not read. Returns whether it did.
    fn draft(&mut self, text: &str) -> bool {
        // The events of a KiB of text fit into a piece.
        if self.sender.capacity() <= text.len() / 1024 + 1 {
            return false;
        }
        let job = self.job;
        for piece in joined(&self.api.text(&job.head(), text)) {
            let _ = self.sender.try_send(piece);
        }
        true
    }
}

/// The best first answer, which is sent as soon as it is known.
#[derive(Default)]
struct Draft {
    /// Whether it is to be sent, and was not.
    is_wanted: bool,
    best: Option<String>,
    is_sent: bool,
}

impl Draft {
    fn see(&mut self, event: Progress) {
        if self.is_wanted && event.draft.is_some() {
            self.best = event.draft;
        }
    }

    /// The draft, if it is to be sent now. It is asked for once.
    fn ready(&mut self) -> Option<&str> {
        let is_due = self.best.is_some() && std::mem::take(&mut self.is_wanted);
        self.best.as_deref().filter(|_| is_due)
    }

    fn sent(&self) -> Option<&str> {
        self.best.as_deref().filter(|_| self.is_sent)
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
