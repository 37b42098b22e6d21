//! Engines by name: `engine("ollama/llama3")`.
//!
//! [`engine`] reads one line and makes settings of it, with keys and addresses from the environment:
//!
//! | line | engine |
//! |---|---|
//! | `PRESET/MODEL` | a model of a server of [`PRESETS`], such as `anthropic/claude-haiku-4-5`, `ollama/llama3` or `openrouter/vendor/model` |
//! | `azure/DEPLOYMENT` | a deployment of the Azure resource whose address `AZURE_OPENAI_ENDPOINT` holds; `OPENAI_API_VERSION` overrides the version of the API |
//! | `http://HOST:8000/v1#MODEL` | a model of any other server that speaks OpenAI's chat completions; a key, if it needs one, is taken from `TEXTGRAD_API_KEY` |
//! | `sim`, `sim:skill=0.3,latency_ms=5` | the simulation of the feature `sim` |
//!
//! An address in the variable that the table names replaces the preset's own. A key is then no longer insisted
//! on: a server of one's own may need none.
//!
//! # Examples
//! ```
//! use textgrad_ops::layer::{Limits, DefaultStack};
//! use textgrad_ops::engine::engine;
//! use textgrad_ops::layer::EngineExt;
//!
//! let engine = engine("ollama/llama3")?
//!     .build()?
//!     .default_stack(DefaultStack::default().limits(Limits::default().concurrency(8)));
//! assert_eq!(textgrad_core::Engine::name(&engine), "ollama:llama3");
//! # Ok::<(), textgrad_core::EngineError>(())
//! ```

mod builder;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub use self::builder::EngineBuilder;
pub use self::spec::{engine, engine_with};
pub use self::table::{Api, KeyNeed, PRESETS, Preset, Quirk};
