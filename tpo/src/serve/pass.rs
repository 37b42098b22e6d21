//! Requests that the policy serves without a search.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use textgrad_core::{EngineError, ErrorKind, Purpose, Request, Sampling, Usage};
use textgrad_ops::engine::http::ForwardedReply;
use tokio::time::{Instant, timeout_at};

use super::admission::Permit;
use super::api::Api;
use super::app::{App, now};
use super::builder::Upstream;
use super::error::ApiError;
use super::json::path_of;
use super::log::RequestLog;
use super::model::POLICY;
use super::reply::{Head, Reply};
use super::request::{Ask, object};
use super::stream::events_response;
use super::usage::UsageScan;
use crate::search::UsageRecord;

/// A request that is passed.
pub(crate) struct Passed {
    pub(crate) id: String,
    pub(crate) deadline: Option<Instant>,
    pub(crate) _permit: Permit,
    pub(crate) log: RequestLog,
}

/// The figures of a passed request, counted once: also where it is dropped.
struct Passing {
    app: Arc<App>,
    passed: Passed,
    end: &'static str,
    usage: Option<Usage>,
    /// The cost, where it was estimated.
    money: Option<f64>,
}

impl Drop for Passing {
    fn drop(&mut self) {
        let metrics = &self.app.metrics;
        metrics.passed(self.end);
        self.passed.log.end(self.end);
        let Some(usage) = self.usage else { return };
        let mut spent = UsageRecord::default();
        spent.add_call(Purpose::Forward, usage);
        let prices = self.app.options.prices.as_ref();
        let price = prices.and_then(|prices| prices.of(self.app.tpo.policy().name()));
        metrics.usage(&spent, self.money.or_else(|| Some(price?.of(usage).units())));
    }
}

impl Passing {
    /// The outcome of work, or an error at the deadline.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, ApiError> {
        match self.passed.deadline {
            None => Ok(work.await),
            Some(deadline) => timeout_at(deadline, work).await.map_err(|_| ApiError::deadline()),
        }
    }
}

/// Serves a request by the policy: by its own server as it is, or by its engine.
pub(crate) async fn pass<A: Api>(
    app: &Arc<App>,
    ask: &Ask,
    body: &[u8],
    passed: Passed,
) -> Result<Response, ApiError> {
    let mut passing =
        Passing { app: Arc::clone(app), passed, end: "cancelled", usage: None, money: None };
    let outcome = match &app.options.upstream {
        None => complete::<A>(app, ask, &mut passing).await,
        Some(upstream) => {
            let forwarded = passing.in_time(forward(app, upstream, A::PATH, body)).await;
            match forwarded {
                Ok(Ok(reply)) => return Ok(stream_on::<A>(reply, passing)),
                // A server without this API can still be asked in its own.
                Ok(Err(error)) if matches!(error.status(), Some(404 | 405)) && is_own::<A>(ask) => {
                    complete::<A>(app, ask, &mut passing).await
                }
                Ok(Err(error)) => Err(ApiError::upstream(&error)),
                Err(late) => Err(late),
            }
        }
    };
    passing.end = if outcome.is_ok() { "answered" } else { "failed" };
    outcome
}

/// Whether a path that the policy's server does not have means that it lacks the API, rather than its model.
fn is_own<A: Api>(ask: &Ask) -> bool {
    ask.direct.is_empty() || A::PATH != "chat/completions"
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

/// The reply of the policy's server as it comes. At the deadline a stream ends with an error, and other replies break
/// off.
fn stream_on<A: Api>(reply: ForwardedReply, passing: Passing) -> Response {
    let content_type = reply.content_type().and_then(|kind| HeaderValue::from_str(kind).ok());
    let is_events = reply.content_type().is_some_and(|kind| kind.starts_with("text/event-stream"));
    let begun = Some((reply, passing, UsageScan::new(is_events)));
    let chunks = stream::unfold(begun, move |state| async move {
        let (mut reply, mut passing, mut scan) = state?;
        let next = passing.in_time(reply.next()).await;
        let error = match next {
            Ok(Ok(Some(chunk))) => {
                scan.push(&chunk);
                return Some((Ok(Bytes::from(chunk)), Some((reply, passing, scan))));
            }
            Ok(Ok(None)) => {
                (passing.end, passing.usage) = ("answered", scan.end());
                return None;
            }
            Ok(Err(error)) => ApiError::upstream(&error),
            Err(late) => late,
        };
        (passing.end, passing.usage) = ("failed", scan.end());
        passing.app.failures.note(&passing.passed.id, &error);
        let last = A::default().error(&error).concat();
        let last = if is_events { Ok(last.into()) } else { Err(error.message().to_owned()) };
        Some((last, None))
    });
    let mut response = events_response(Body::from_stream(chunks));
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

/// Asks the engine of the policy.
async fn complete<A: Api>(
    app: &App,
    ask: &Ask,
    passing: &mut Passing,
) -> Result<Response, ApiError> {
    if let Some(first) = ask.direct.first() {
        let message = format!(
            "{first} cannot be served: the policy has no server of its own with this API behind it"
        );
        return Err(ApiError::invalid(path_of(first), message));
    }
    let base = Sampling { n: u32::try_from(ask.n).unwrap_or(1), ..Sampling::default() };
    let mut sampling = ask.sampling(&base);
    sampling.seed = ask.sampling.seed;
    let request =
        Request::new(Purpose::Forward, ask.messages.iter().cloned()).with_sampling(sampling);
    let answered = passing.in_time(app.tpo.policy().complete(&request)).await?;
    let response = answered.map_err(|error| ApiError::upstream(&error))?;
    passing.usage = Some(response.usage);
    let price = app.options.prices.as_ref().and_then(|prices| prices.of(app.tpo.policy().name()));
    passing.money = price.map(|price| price.of_call(&request, &response).units());
    // As in replies of the policy's own server; that of the simulation says what it is.
    let model = if response.model.is_empty() { POLICY } else { &response.model };
    let (id, created, sampling) = (&passing.passed.id, now(), &request.sampling);
    let head = Head { id, created, model, ask, sampling };
    let reply = Reply::of_policy(head, &response);
    if !ask.stream {
        return Ok(Json(A::whole(&reply)).into_response());
    }
    let mut api = A::default();
    let events = [api.begin(&head), api.text(&head, reply.text()), api.end(&reply)];
    Ok(events_response(Body::from(events.concat().concat())))
}
