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
//! | `GET /v1/tpo/{id}/graph` | the graph of one of the latest searches, as a page |
//! | `GET /health`, `GET /ready` | whether the process serves, and whether it takes new requests |
//! | `GET /` | a live page of searches and figures |
//! | `GET /metrics` | figures in the text format of Prometheus |
//!
//! A search is dropped, with the calls that are under way for it, when its client goes away.

mod admission;
mod api;
mod app;
mod budget;
mod builder;
mod chat;
mod error;
mod guard;
mod images;
mod json;
mod keys;
mod log;
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
mod served;
mod server;
mod stream;
mod usage;
mod write_timeout;

pub use self::builder::{ServerBuilder, Unsearchable, Upstream};
pub use self::keys::{Keys, hashed_key};
pub use self::options::{DraftForm, Gate, SearchOptions};
pub use self::server::Server;
