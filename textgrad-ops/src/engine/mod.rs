//! Engines of model servers: clients, wire formats, and presets by name.
//!
//! | module | contents |
//! |---|---|
//! | [`openai`] | chat completions, as vLLM, SGLang, llama.cpp, Ollama, OpenAI and many others serve them |
//! | [`anthropic`], [`gemini`] | the Messages API and `generateContent` |
//! | [`preset`] | engines by name, `engine("ollama/llama3")`, with keys from the environment |
//! | [`http`] | the JSON client beneath, also for reward servers |
//!
//! Retries, limits, caches and the like are [layers](crate::layer).

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
pub use self::http::HttpOptions;
#[doc(inline)]
pub use self::openai::OpenAi;
#[doc(inline)]
pub use self::preset::{EngineBuilder, PRESETS, engine, engine_with};
