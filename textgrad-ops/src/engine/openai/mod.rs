//! Chat completions as OpenAI defines them and vLLM, SGLang, llama.cpp, Ollama and many others offer them.

mod body;
mod builder;
mod client;
mod reply;
#[cfg(test)]
mod tests;

pub use self::body::{MaxTokensField, SeedField};
pub use self::builder::OpenAiBuilder;
pub use self::client::OpenAi;
