//! The APIs in front of searches: what each reads and words in its own way, and the handler that they share.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::app::{App, Asked};
use super::error::ApiError;
use super::keys::Client;
use super::log::RequestLog;
use super::metrics::SearchEnd;
use super::pass::{Passed, pass};
use super::reply::{Head, Reply, detail};
use super::request::Ask;
use super::search::{Answered, Job, Progress, run};
use super::stream::streamed;

/// One API. The state of a value is that of one stream.
pub(crate) trait Api: Default + Send + 'static {
    /// The beginning of the ids of its answers.
    const PREFIX: &'static str;
    /// Its path below the base URL, here and at the policy's own server.
    const PATH: &'static str;

    fn read(body: &[u8]) -> Result<Ask, ApiError>;

    /// A whole answer.
    fn whole(reply: &Reply<'_>) -> Value;

    /// Events before anything is known.
    fn begin(&mut self, head: &Head<'_>) -> Vec<Bytes>;
    /// A scored answer.
    fn progress(&mut self, head: &Head<'_>, progress: &Progress) -> Vec<Bytes>;
    /// The text of the first answer.
    fn text(&mut self, head: &Head<'_>, text: &str) -> Vec<Bytes>;
    /// Everything behind the text of the first answer.
    fn end(&mut self, reply: &Reply<'_>) -> Vec<Bytes>;
    /// A failure, which is the end.
    fn error(&mut self, error: &ApiError) -> Vec<Bytes>;
}

/// Serves a request of an API. Its answer has the id of the request, whatever comes of it.
pub(crate) async fn serve<A: Api>(
    State(app): State<Arc<App>>,
    Extension(log): Extension<RequestLog>,
    request: Request,
) -> Response {
    let id = app.id(A::PREFIX);
    log.id(&id);
    let mut response = answer::<A>(&app, log, &id, request).await.unwrap_or_else(|error| {
        app.failures.note(&id, &error);
        error.into_response()
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-tpo-id", id);
    }
    response
}

async fn answer<A: Api>(
    app: &Arc<App>,
    log: RequestLog,
    id: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let client = parts.extensions.get::<Client>().copied().unwrap_or(Client(0));
    let body = app.body(body).await?;
    let ask = A::read(&body)?;
    log.model(&ask.model);
    match app.asked(ask, &parts.headers, client, arrived, id)? {
        Asked::Policy(ask, deadline) => {
            let permit = app.enter(client, deadline).await?;
            let passed = Passed { id: id.to_owned(), deadline, _permit: permit, log };
            pass::<A>(app, &ask, &body, passed).await
        }
        Asked::Search(job) => {
            let permit = app.enter(client, job.deadline).await?;
            if job.ask.stream {
                return streamed::<A>(Arc::clone(app), job, permit, log).await;
            }
            let answered = search(app, &job, None).await?;
            drop(permit);
            log.end(answered.end.as_str());
            let body = A::whole(&Reply::of_search(&job, &answered, None, app.simulated));
            Ok(with_headers(Json(body).into_response(), &answered))
        }
    }
}

/// Searches, and keeps the outcome for `/v1/tpo`.
pub(crate) async fn search(
    app: &App,
    job: &Job,
    progress: Option<mpsc::UnboundedSender<Progress>>,
) -> Result<Answered, ApiError> {
    let listed = app.recent.begin(job);
    let mut outcome = run(app, job, progress).await;
    match &mut outcome {
        Ok(answered) => {
            let detail = detail(job, answered, app.simulated);
            app.recent.answered(job, answered, &detail);
        }
        Err(error) => app.recent.failed(job, error),
    }
    drop(listed);
    outcome
}

/// The response of an answered search with the headers of its extension.
fn with_headers(mut response: Response, answered: &Answered) -> Response {
    let complete = answered.end != SearchEnd::Partial;
    for (name, value) in [
        ("x-tpo-score", answered.best_score().map(|score| score.to_string())),
        ("x-tpo-complete", Some(complete.to_string())),
        ("x-tpo-stopped", answered.stopped.clone()),
    ] {
        let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
