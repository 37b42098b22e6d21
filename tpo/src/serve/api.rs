//! The APIs in front of searches: what each reads and words in its own way, and the handlers that they share.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind, Purpose, Sampling};
use textgrad_ops::engine::http::ForwardedReply;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::admission::Permit;
use super::app::{App, Asked, now};
use super::builder::Upstream;
use super::error::ApiError;
use super::keys::Client;
use super::metrics::SearchEnd;
use super::options::POLICY;
use super::reply::{Head, Reply, detail};
use super::request::{Ask, object};
use super::search::{Answered, Job, Progress, run};
use super::stream::{events_response, streamed};
use crate::search::UsageRecord;

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

/// Serves a request of an API.
pub(crate) async fn serve<A: Api>(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let client = parts.extensions.get::<Client>().copied().unwrap_or(Client(0));
    let body = app.body(body).await?;
    let asked = app.asked(A::read(&body)?, &parts.headers, client, arrived, A::PREFIX)?;
    let permit = app.enter(client).await?;
    let job = match asked {
        Asked::Policy(ask) => return pass::<A>(&app, &ask, &body, permit).await,
        Asked::Search(job) if job.ask.stream => return streamed::<A>(app, job, permit).await,
        Asked::Search(job) => job,
    };
    let answered = search(&app, &job, None).await?;
    drop(permit);
    let body = A::whole(&Reply::of_search(&job, &answered, None, app.simulated));
    Ok(with_headers(Json(body).into_response(), &job, &answered))
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
fn with_headers(mut response: Response, job: &Job, answered: &Answered) -> Response {
    let complete = answered.end != SearchEnd::Partial;
    for (name, value) in [
        ("x-tpo-id", Some(job.id.clone())),
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

/// Serves a request by the policy: by its own server as it is, or by its engine.
pub(crate) async fn pass<A: Api>(
    app: &Arc<App>,
    ask: &Ask,
    body: &[u8],
    permit: Permit,
) -> Result<Response, ApiError> {
    let Some(upstream) = &app.options.upstream else {
        return complete::<A>(app, ask, permit).await;
    };
    match forward(app, upstream, A::PATH, body).await {
        Ok(reply) => Ok(forwarded(reply, permit)),
        // A server without this API can still be asked in its own.
        Err(error) if matches!(error.status(), Some(404 | 405)) && ask.direct.is_empty() => {
            complete::<A>(app, ask, permit).await
        }
        Err(error) => Err(ApiError::upstream(&error)),
    }
}

/// Forwards the body, with the name of the policy's model.
async fn forward(
    app: &App,
    upstream: &Upstream,
    path: &str,
    body: &[u8],
) -> Result<ForwardedReply, EngineError> {
    let mut fields = object(body).unwrap_or_default();
    fields.remove("tpo");
    fields.insert("model".to_owned(), upstream.model.as_str().into());
    let first = app.passed.fetch_add(1, Ordering::Relaxed);
    let clients = &upstream.clients;
    let clients = clients.iter().cycle().skip(first % clients.len().max(1)).take(clients.len());
    let mut outcome = Err(EngineError::new(ErrorKind::Connection, "the policy has no address"));
    for client in clients {
        outcome = client.forward(path, &fields).await;
        // Nothing was taken on by an address without connection.
        if !matches!(&outcome, Err(error) if error.kind() == ErrorKind::Connection) {
            break;
        }
    }
    outcome
}

/// The reply of the policy's server as it comes.
fn forwarded(reply: ForwardedReply, permit: Permit) -> Response {
    let content_type = reply.content_type().and_then(|kind| HeaderValue::from_str(kind).ok());
    let chunks = stream::unfold((reply, permit), |(mut reply, permit)| async move {
        let chunk = reply.next().await.transpose()?;
        Some((chunk, (reply, permit)))
    });
    let mut response = events_response(Body::from_stream(chunks));
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

/// Asks the engine of the policy.
async fn complete<A: Api>(app: &App, ask: &Ask, permit: Permit) -> Result<Response, ApiError> {
    if let Some(first) = ask.direct.first() {
        let message = format!(
            "{first} cannot be served: the policy has no server of its own with this API behind it"
        );
        return Err(ApiError::invalid(first.as_str(), message));
    }
    let base = Sampling { n: u32::try_from(ask.n).unwrap_or(1), ..Sampling::default() };
    let mut sampling = ask.sampling(&base);
    sampling.seed = ask.sampling.seed;
    let request = textgrad_core::Request::new(Purpose::Forward, ask.messages.iter().cloned())
        .with_sampling(sampling);
    let policy = app.tpo.policy();
    let response = policy.complete(&request).await.map_err(|error| ApiError::upstream(&error))?;
    drop(permit);
    let mut spent = UsageRecord::default();
    spent.add_call(Purpose::Forward, response.usage);
    let price = app.options.prices.as_ref().and_then(|prices| prices.of(policy.name()));
    let money = price.map(|price| price.of_call(&request, &response).units());
    app.metrics.usage(&spent, money);
    let (id, created, sampling) = (app.id(A::PREFIX), now(), &request.sampling);
    let head = Head { id: &id, created, model: POLICY, ask, sampling };
    let reply = Reply::of_policy(head, &response);
    if !ask.stream {
        return Ok(Json(A::whole(&reply)).into_response());
    }
    let mut api = A::default();
    let events = [api.begin(&head), api.text(&head, reply.text()), api.end(&reply)];
    Ok(events_response(Body::from(events.concat().concat())))
}
