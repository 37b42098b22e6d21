//! Requests that the policy serves without a search.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use textgrad_core::{Choice, EngineError, ErrorKind, Purpose, Request, Sampling};

use super::admission::Permit;
use super::app::{App, now};
use super::builder::Upstream;
use super::error::ApiError;
use super::json::set;
use super::model::POLICY;
use super::request::{Ask, object};
use super::stream::{data, events_response, pieces};
use crate::search::UsageRecord;

/// Serves a request by the policy: by its own server as it is, or by its engine.
pub(crate) async fn pass(
    app: &Arc<App>,
    ask: &Ask,
    body: &[u8],
    permit: Permit,
) -> Result<Response, ApiError> {
    match &app.options.upstream {
        Some(upstream) => forward(app, upstream, body, permit).await,
        None => complete(app, ask, permit).await,
    }
}

/// Forwards the body, with the name of the policy's model, and the reply as it comes.
async fn forward(
    app: &App,
    upstream: &Upstream,
    body: &[u8],
    permit: Permit,
) -> Result<Response, ApiError> {
    let mut fields = object(body)?;
    fields.remove("tpo");
    fields.insert("model".to_owned(), upstream.model.as_str().into());
    let first = app.passed.fetch_add(1, Ordering::Relaxed);
    let clients = &upstream.clients;
    let clients = clients.iter().cycle().skip(first % clients.len().max(1)).take(clients.len());
    let mut outcome = Err(EngineError::new(ErrorKind::Connection, "the policy has no address"));
    for client in clients {
        outcome = client.forward("chat/completions", &fields).await;
        // Nothing was taken on by an address without connection.
        if !matches!(&outcome, Err(error) if error.kind() == ErrorKind::Connection) {
            break;
        }
    }
    let reply = outcome.map_err(|error| ApiError::upstream(&error))?;
    let content_type = reply.content_type().and_then(|kind| HeaderValue::from_str(kind).ok());
    let chunks = stream::unfold((reply, permit), |(mut reply, permit)| async move {
        let chunk = reply.next().await.transpose()?;
        Some((chunk, (reply, permit)))
    });
    let mut response = events_response(Body::from_stream(chunks));
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

/// Asks the engine of the policy.
async fn complete(app: &App, ask: &Ask, permit: Permit) -> Result<Response, ApiError> {
    if let Some(first) = ask.direct.first() {
        let message = format!(
            "{first} cannot be served: the policy has no server of its own with this API behind it"
        );
        return Err(ApiError::invalid(first.as_str(), message));
    }
    let base = Sampling { n: u32::try_from(ask.n).unwrap_or(1), ..Sampling::default() };
    let mut sampling = ask.sampling.apply(&base);
    sampling.seed = ask.sampling.seed;
    let request =
        Request::new(Purpose::Forward, ask.messages.iter().cloned()).with_sampling(sampling);
    let policy = app.tpo.policy();
    let response = policy.complete(&request).await.map_err(|error| ApiError::upstream(&error))?;
    drop(permit);
    let mut spent = UsageRecord::default();
    spent.add_call(Purpose::Forward, response.usage);
    app.metrics.usage(&spent, app.money(&spent));
    let (id, created, usage) = (app.id("chatcmpl"), now(), super::reply::usage(&spent));
    let head = |object: &str, choices: Value| json!({"id": id, "object": object, "created": created, "model": POLICY, "choices": choices});
    if !ask.stream {
        let choice = |(index, choice): (usize, &Choice)| {
            json!({
                "index": index, "logprobs": null, "finish_reason": finish_reason(choice),
                "message": {"role": "assistant", "content": choice.text, "refusal": null},
            })
        };
        let choices: Vec<Value> = response.choices.iter().enumerate().map(choice).collect();
        let mut body = head("chat.completion", choices.into());
        set(&mut body, "usage", usage);
        return Ok(Json(body).into_response());
    }
    let mut events = Vec::new();
    let mut chunk = |choices: Value| events.push(data(&head("chat.completion.chunk", choices)));
    for (index, choice) in response.choices.iter().enumerate() {
        chunk(
            json!([{"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
        );
        for piece in pieces(&choice.text) {
            chunk(json!([{"index": index, "delta": {"content": piece}, "finish_reason": null}]));
        }
        chunk(json!([{"index": index, "delta": {}, "finish_reason": finish_reason(choice)}]));
    }
    if ask.include_usage {
        let mut last = head("chat.completion.chunk", json!([]));
        set(&mut last, "usage", usage);
        events.push(data(&last));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Ok(events_response(Body::from(events.concat())))
}

fn finish_reason(choice: &Choice) -> &str {
    match choice.finish_reason.as_str() {
        "" => "stop",
        reason => reason,
    }
}
