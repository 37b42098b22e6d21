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
pub(crate) mod wire;

pub use self::anthropic::Anthropic;
pub use self::gemini::Gemini;
pub use self::http::HttpOptions;
pub use self::openai::OpenAi;
pub use self::preset::{EngineBuilder, PRESETS, engine, engine_with};

use textgrad_core::{EngineError, ErrorKind};

/// The error of a setting or a request that cannot be sent.
fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

/// The error of what a server or its API has not.
fn unsupported(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::Unsupported, message)
}

/// Whether a text may stand for one segment of a path: it cannot lead out of it.
fn is_path_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.bytes().all(is_plain) && text.bytes().any(|byte| byte != b'.')
}
