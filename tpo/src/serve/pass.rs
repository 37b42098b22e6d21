//! Requests that the policy serves without a search.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use textgrad_core::{EngineError, ErrorKind, Purpose, Request, Sampling};
use textgrad_ops::engine::http::ForwardedReply;

use super::admission::Permit;
use super::api::Api;
use super::app::{App, now};
use super::builder::Upstream;
use super::error::ApiError;
use super::model::POLICY;
use super::reply::{Head, Reply};
use super::request::{Ask, object};
use super::stream::events_response;
use crate::search::UsageRecord;

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
    let request =
        Request::new(Purpose::Forward, ask.messages.iter().cloned()).with_sampling(sampling);
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
