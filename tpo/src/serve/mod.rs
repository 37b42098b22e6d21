//! A server with OpenAI's API in front of searches, as `tpo serve` runs it.
//!
//! A request becomes a [`Query`](crate::Query) and a search: that of the server's [`Tpo`](crate::Tpo), with what the
//! request, its model or its header changes ([`SearchOptions`]). Any client of chat completions works with its base
//! URL set to `http://HOST:PORT/v1`.
//!
//! | path | answer |
//! |---|---|
//! | `POST /v1/chat/completions` | the best answers of a search, whole or as a stream |
//! | `POST /v1/responses` | the best answer, text only, whole or as a stream |
//! | `GET /v1/models` | virtual models: `tpo`, `tpo-d1-n3`, `bon-8`, `revision`, presets, and `policy` without a search |
//! | `GET /v1/tpo`, `GET /v1/tpo/{id}` | searches under way and ended; one ended search with its trajectory |
//! | `GET /health`, `GET /ready` | whether the process serves, and whether it takes new requests |
//! | `GET /` | a live page of searches and figures |
//! | `GET /metrics` | figures in the text format of Prometheus |
//!
//! A search is dropped, with the calls that are under way for it, when its client goes away.

mod admission;
mod app;
mod builder;
mod chat;
mod error;
mod images;
mod json;
mod keys;
mod message;
mod metrics;
mod model;
mod options;
mod pass;
mod recent;
mod record;
mod reply;
mod request;
mod responses;
mod routes;
mod search;
mod server;
mod stream;

use axum::http::HeaderValue;
use axum::response::Response;

use self::app::App;
pub use self::builder::{ServerBuilder, Unsearchable, Upstream};
pub use self::keys::{Keys, hashed_key};
pub use self::options::{Gate, SearchOptions};
use self::search::{Answered, Job};
pub use self::server::Server;

/// Keeps an answered search for `/v1/tpo`.
fn finish(app: &App, job: &Job, answered: &Answered) {
    app.recent.end(job, answered, &reply::detail(job, answered, app.simulated));
}

/// The response of an answered search with the headers of its extension.
fn with_headers(mut response: Response, job: &Job, answered: &Answered) -> Response {
    let complete = answered.end != metrics::SearchEnd::Partial;
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
