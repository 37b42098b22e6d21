//! Engines: what answers a [`Request`](textgrad_core::Request), and the layers around it.
//!
//! * [`openai`]: chat completions, as vLLM, SGLang, llama.cpp, Ollama, OpenAI and many others offer them.
//! * [`sim`]: an embedded simulation, which needs nothing.
//! * [`layer`]: retry, limit, timeout, fill, cache (in memory and on disk), budget, record and replay, trace,
//!   meter: each an engine around an engine.
//! * [`http`]: the JSON client beneath, also for reward models.
//! * [`RequestKey`]: a stable name for what a request asks.

pub mod http;
mod key;
pub mod layer;
pub mod openai;
pub mod sim;

#[doc(inline)]
pub use self::key::{ParseRequestKeyError, RequestKey, request_key};
#[doc(inline)]
pub use self::layer::EngineExt;
#[doc(inline)]
pub use self::openai::OpenAi;
#[doc(inline)]
pub use self::sim::Sim;
