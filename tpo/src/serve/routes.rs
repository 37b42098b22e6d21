//! Routes of a server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router, middleware};
use serde_json::{Value, json};
use textgrad_core::{Page, truncate};

use super::api::serve;
use super::app::App;
use super::chat::Chat;
use super::error::ApiError;
use super::guard::guard;
use super::json::set;
use super::keys::Client;
use super::model::{listed, target};
use super::responses::Responses;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(serve::<Chat>))
        .route("/v1/responses", post(serve::<Responses>))
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
        .route("/v1/tpo", get(searches))
        .route("/v1/tpo/{id}", get(search))
        .route("/v1/tpo/{id}/graph", get(graph))
        .route("/", get(live))
        .route("/health", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// A page that runs its own scripts only, and asks this server only.
fn page(html: impl Into<axum::body::Body>) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
    let mut response = Html(html.into()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The live page. It holds no data: its script asks for them, with the client's key.
async fn live() -> Response {
    page(include_str!("page.html"))
}

/// The graph of an ended search, as a page.
async fn graph(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let Some(aligned) = app.recent.graph(client, &id) else {
        return Err(ApiError::not_found(
            "no search with this id has come to its end here, or its graph is no longer kept",
        ));
    };
    let title = format!("{id}{}", if app.simulated { " (SIMULATION)" } else { "" });
    let drawn = tokio::task::spawn_blocking(move || {
        let (graph, annotations) = (aligned.graph(), aligned.annotations());
        let view = graph.view().annotations(&annotations);
        Page::new(title).graph(truncate(aligned.query(), 60), &view).to_html()
    });
    let drawn = drawn.await;
    drawn.map(page).map_err(|_| ApiError::internal("the graph could not be drawn"))
}

async fn no_route() -> ApiError {
    ApiError::not_found("expected a path such as /v1/chat/completions; the base URL ends with /v1")
}

async fn no_method() -> Response {
    let error = ApiError::invalid("", "this path is not served with this method");
    (StatusCode::METHOD_NOT_ALLOWED, Json(error.body())).into_response()
}

fn described(app: &App, id: &str) -> Value {
    json!({"id": id, "object": "model", "created": app.created, "owned_by": "tpo"})
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let names = listed(&app.options.presets);
    let models: Vec<Value> = names.iter().map(|name| described(&app, name)).collect();
    Json(json!({"object": "list", "data": models}))
}

async fn model(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    match target(&id, &app.options.presets) {
        Some(_) => Ok(Json(described(&app, &id))),
        None => Err(ApiError::model_not_found(
            "this model does not exist; GET /v1/models lists those that do",
        )),
    }
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.draining.load(Ordering::Relaxed) {
        false => Json(json!({"status": "ready"})).into_response(),
        true => ApiError::draining().into_response(),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut response = app.metrics.text(app.load()).into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn searches(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
) -> Json<Value> {
    let load = app.load();
    let mut list = app.recent.list(client);
    set(&mut list, "in_flight", load.in_flight);
    set(&mut list, "queued", load.queued);
    set(&mut list, "simulated", app.simulated);
    Json(list)
}

async fn search(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let Some(detail) = app.recent.detail(client, &id) else {
        return Err(ApiError::not_found(
            "no search with this id has ended here, or it is no longer kept",
        ));
    };
    let mut response = detail.into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
