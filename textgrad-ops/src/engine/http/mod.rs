//! JSON over HTTP: one client for chat servers, reward servers and whatever else answers in JSON.
//!
//! [`JsonClient`] turns a reply into JSON, or into an [`EngineError`](textgrad_core::EngineError) whose
//! kind, retry advice and message a caller can rely on, however the server spells its errors.

mod base_url;
mod body;
mod builder;
mod client;
mod error_class;
mod failure;
mod json;
mod models;
mod redact;
mod server_error;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
mod waits;

pub(crate) use self::base_url::Route;
pub use self::builder::{HttpOptions, JsonClientBuilder};
pub(crate) use self::client::to_json;
pub use self::client::{ForwardedReply, JsonClient};
pub use self::models::{context_length, served_models};

pub(crate) use self::body::{Event, Events};
pub(crate) use self::failure::error_in;
pub(crate) use self::json::join_halves;
