//! The routes and their small handlers.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::Call;
use super::delivery::Delivery;
use super::error::json_response;
use super::server::Shared;
use super::{chat, prompt_logprobs, rewards};

/// The most bytes of a request's body.
const MAX_BODY: usize = 32 << 20;

/// A route of the server, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /classify`, and all other routes of the [`RewardServer`](super::RewardServer).
    Classify,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /tokenize`.
    Tokenize,
    /// `GET /v1/models`.
    Models,
    /// `GET /health`.
    Health,
    /// What does not exist.
    Other,
}

impl Route {
    /// vLLM asks for the key only where the path begins with `/v1`.
    pub(super) fn needs_key(self) -> bool {
        matches!(self, Self::Chat | Self::Completions | Self::Models)
    }
}

const CHAT: &str = "/v1/chat/completions";

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let rewards = shared.options.reward_server.routes();
    let mut router = Router::new();
    for path in rewards {
        router = router.route(path, post(score));
    }
    if !rewards.contains(&CHAT) {
        router = router.route(CHAT, post(complete));
    }
    router
        .route("/v1/completions", post(likelihood))
        .route("/tokenize", post(tokenize))
        .route("/v1/models", get(models))
        .route("/health", get(health))
        .route("/stats", get(stats))
        .route("/stats/reset", post(reset))
        .fallback(missing)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut call = Call::begin(&shared, Route::Chat, &body);
    if let Some(refusal) = call.refusal(&headers) {
        return call.send(refusal);
    }
    let answer = chat::answer(&shared, &mut call, &body).await;
    call.finish(answer)
}

async fn score(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    let mut call = Call::begin(&shared, Route::Classify, &body);
    if uri.path().starts_with("/v1")
        && let Some(refusal) = call.refusal_of_key(&headers)
    {
        return call.send(refusal);
    }
    if let Some(refusal) = call.refusal(&headers) {
        return call.send(refusal);
    }
    let answer = rewards::answer(&shared, &mut call, uri.path(), &body).await;
    call.finish(answer)
}

async fn likelihood(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut call = Call::begin(&shared, Route::Completions, &body);
    if let Some(refusal) = call.refusal(&headers) {
        return call.send(refusal);
    }
    let answer = prompt_logprobs::complete(&shared, &body);
    call.finish(answer.map(|body| Delivery::json(body.to_string(), None).0))
}

async fn tokenize(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let call = Call::begin(&shared, Route::Tokenize, &body);
    let answer = prompt_logprobs::tokenize(&shared, &body);
    call.finish(answer.map(|body| Delivery::json(body.to_string(), None).0))
}

async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let call = Call::begin(&shared, Route::Models, &[]);
    if let Some(refusal) = call.refusal_of_key(&headers) {
        return call.send(refusal);
    }
    let created = shared.started;
    let data: Vec<Value> = shared
        .options
        .model_names()
        .map(|name| {
            json!({
                "id": name,
                "object": "model",
                "created": created,
                "owned_by": "vllm",
                "root": name,
                "parent": null,
                "max_model_len": 8192,
                "permission": [],
            })
        })
        .collect();
    let body = json!({ "object": "list", "data": data }).to_string();
    call.send(Delivery::json(body, None).0)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    Call::begin(&shared, Route::Health, &[]).send(Delivery::Whole(StatusCode::OK.into_response()))
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    match serde_json::to_string(&shared.stats()) {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn reset(State(shared): State<Arc<Shared>>) -> Response {
    shared.recorder().reset();
    StatusCode::NO_CONTENT.into_response()
}

async fn missing(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    let call = Call::begin(&shared, Route::Other, &body);
    if uri.path().starts_with("/v1")
        && let Some(refusal) = call.refusal_of_key(&headers)
    {
        return call.send(refusal);
    }
    call.send(detail(StatusCode::NOT_FOUND, "Not Found"))
}

async fn wrong_method(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    Call::begin(&shared, Route::Other, &body)
        .send(detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
}

/// What the web framework below vLLM says of paths it does not know.
fn detail(status: StatusCode, text: &str) -> Delivery {
    Delivery::Whole(json_response(status, json!({ "detail": text }).to_string()))
}
