//! Engines: what answers a [`Request`](textgrad_core::Request), and the layers around it.
//!
//! * [`openai`]: chat completions, as vLLM, SGLang, llama.cpp, Ollama, OpenAI and many others offer them.
//! * [`anthropic`] and [`gemini`]: the Messages API and `generateContent`, natively.
//! * [`layer`]: retry, limit, timeout, fill, cache (in memory and on disk), budget, record and replay, trace,
//!   meter: each an engine around an engine.
//! * [`preset`]: any of these by name, `engine("ollama/llama3")`, with keys from the environment.
//! * [`http`]: the JSON client beneath, also for reward models.
//! * [`RequestKey`]: a stable name for what a request asks.

pub mod anthropic;
pub mod gemini;
pub mod http;
pub mod openai;
pub mod preset;
mod wire;

#[doc(inline)]
pub use self::anthropic::Anthropic;
#[doc(inline)]
pub use self::gemini::Gemini;
#[doc(inline)]
pub use self::openai::OpenAi;
#[doc(inline)]
pub use self::preset::{EngineBuilder, PRESETS, engine, engine_with};
