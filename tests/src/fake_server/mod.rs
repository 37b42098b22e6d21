//! A fake OpenAI-compatible server on loopback that misbehaves on demand.
//!
//! Clients are tested against a real server over real sockets: what a mock of the HTTP library would never
//! do (cut a body short, reset a connection, split a character over two packets) this one does when told to.
//! It speaks the dialect of vLLM: `POST /v1/chat/completions` (whole or streamed), `GET /v1/models`,
//! `GET /health`, `POST /tokenize`, the likelihoods of `POST /v1/completions` (`prompt_logprobs`, or an
//! [`EchoStyle`]), and the reward routes `POST /classify` and `POST /pooling`, or those of another
//! [`RewardServer`]. `GET /stats` tells what was asked of it
//! ([`Stats`]), `POST /stats/reset` starts the count again.
//!
//! Answers come from a [`textgrad_core::Engine`], scores from a function of query and answer; both have a
//! small deterministic default ([`Echo`], [`echo_reward`]). Nothing it serves is the work of a model.
//!
//! It only ever binds the loopback interface, and it stops by itself when its handle is dropped.
//!
//! # Examples
//! ```
//! use textgrad_tests::fake_server::{FakeServer, Fault, FaultRule, When};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let server = FakeServer::builder()
//!     .fault(FaultRule::new(Fault::ServerError).when(When::First(2)))
//!     .fault("length@nth:3".parse::<FaultRule>().unwrap())
//!     .start()
//!     .await?;
//! assert!(server.base_url().ends_with("/v1"));
//! assert!(server.requests().is_empty());
//! server.stop().await;
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

mod builder;
mod call;
mod chat;
mod delivery;
mod echo;
mod echoed;
mod error;
mod fault;
mod prompt_logprobs;
mod rewards;
mod routes;
mod server;
mod stats;
mod tokens;
mod wire;

pub use self::builder::FakeServerBuilder;
pub use self::echo::{Echo, echo_reward};
pub use self::echoed::EchoStyle;
pub use self::error::{ErrorShape, ParseErrorShapeError};
pub use self::fault::{Fault, FaultRule, MAX_DELAY, On, ParseFaultError, RetryAfter, When};
pub use self::rewards::{MISPLACED_BOS, RewardServer};
pub use self::routes::Route;
pub use self::server::FakeServer;
pub use self::stats::{Prefixes, Reuse, RouteStats, Stats};
