//! Engines by name: `engine("ollama/llama3")`.
//!
//! [`engine`] reads one line and makes settings of it, with keys and addresses from the environment:
//!
//! | line | engine |
//! |---|---|
//! | `PRESET/MODEL` | a model of a server of [`PRESETS`], such as `anthropic/claude-haiku-4-5`, `ollama/llama3` or `openrouter/vendor/model` |
//! | `azure/DEPLOYMENT` | a deployment of the Azure resource whose address `AZURE_OPENAI_ENDPOINT` holds; `OPENAI_API_VERSION` overrides the version of the API |
//! | `http://HOST:8000/v1#MODEL` | a model of any other server that speaks OpenAI's chat completions; a key, if it needs one, is taken from `TEXTGRAD_API_KEY` |
//! | `local:model.gguf`, `local:model.gguf,context=8192` | a model in the process, with the feature `local`; settings are those of `LocalEngineBuilder` |
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
mod local;
mod table;
#[cfg(test)]
mod tests;

use textgrad_core::{EngineError, truncate};

use self::builder::COMPATIBLE;
pub use self::builder::EngineBuilder;
pub use self::local::{ListedPreset, LocalServer, listed, listing, local_servers};
pub use self::table::{Api, KeyNeed, PRESETS, Preset, Quirk};
use super::invalid;

/// Settings for the engine that a line names, with keys and addresses from the environment of the process;
/// see the [module](self) for the lines.
///
/// # Errors
/// [`InvalidRequest`](textgrad_core::ErrorKind::InvalidRequest) if the line names no engine: the message
/// lists the known names and the nearest one.
/// Missing keys and addresses are errors of [`EngineBuilder::build`].
pub fn engine(line: &str) -> Result<EngineBuilder, EngineError> {
    engine_with(line, |variable| std::env::var(variable).ok())
}

/// [`engine`] with another place to look variables up than the environment of the process. A variable that
/// is empty counts as absent.
///
/// # Errors
/// As [`engine`].
///
/// # Examples
/// ```
/// use textgrad_ops::engine::engine_with;
///
/// let vault = |variable: &str| (variable == "GROQ_API_KEY").then(|| "gsk-...".to_owned());
/// assert!(engine_with("groq/llama-3.1-8b-instant", vault)?.build().is_ok());
///
/// let error = engine_with("groq/llama-3.1-8b-instant", |_| None)?.build().err().unwrap();
/// assert!(error.to_string().contains("GROQ_API_KEY"));
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
pub fn engine_with(
    line: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<EngineBuilder, EngineError> {
    let lookup = |variable: &str| lookup(variable).filter(|value| !value.trim().is_empty());
    let line = line.trim();
    if let Some(settings) = line.strip_prefix("sim")
        && (settings.is_empty() || settings.starts_with(':'))
    {
        return simulation(settings.trim_start_matches(':'));
    }
    if let Some(line) = line.strip_prefix("local:") {
        return local(line);
    }
    if line.contains("://") {
        // The address may hold a password: no part of it is repeated.
        let Some((base_url, model)) = line.split_once('#') else {
            return Err(invalid(
                "expected an address and a model such as http://localhost:8000/v1#llama3, got no \
                 `#MODEL` at the end",
            ));
        };
        let builder = EngineBuilder::compatible(base_url, model);
        return Ok(match lookup(COMPATIBLE.key_var) {
            Some(key) => builder.key(key),
            None => builder,
        });
    }
    let (name, model) = line.split_once('/').unwrap_or((line, ""));
    let Some(preset) = Preset::named(name) else {
        return Err(unknown(name, line));
    };
    if model.trim().is_empty() {
        return Err(invalid(format!("expected {name}/MODEL, got {name} without a model")));
    }
    Ok(EngineBuilder::preset(*preset, model, lookup))
}

fn unknown(name: &str, line: &str) -> EngineError {
    let known = || PRESETS.iter().map(|preset| preset.name).chain(["sim"]);
    let meant = match (meant(line), nearest(name, known())) {
        (Some(meant), _) => format!("; did you mean {meant}?"),
        (None, Some("sim")) => "; did you mean sim?".to_owned(),
        (None, Some(meant)) => format!("; did you mean {meant}/MODEL?"),
        (None, None) => String::new(),
    };
    let all: Vec<&str> = known().collect();
    invalid(format!(
        "expected an engine such as ollama/llama3, http://localhost:8000/v1#llama3 or sim, got {:?}{meant} \
         (known: {})",
        truncate(name, 80),
        all.join(", ")
    ))
}

/// How the models begin that only one server is known to have under such names.
const FAMILIES: [(&str, &str); 8] = [
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "gemini"),
    ("mistral-", "mistral"),
    ("deepseek-", "deepseek"),
    ("grok-", "xai"),
    ("o", "openai"),
];

/// The line that was meant by a model alone, or by a name and a model with a colon between them.
fn meant(line: &str) -> Option<String> {
    if let Some((name, model)) = line.split_once(':')
        && let Some(preset) = Preset::named(&name.trim().to_lowercase())
        && !model.trim().is_empty()
    {
        return Some(format!("{}/{}", preset.name, truncate(model.trim(), 80)));
    }
    let lower = line.to_lowercase();
    let is_of = |(begin, _): &&(&str, &str)| {
        lower.strip_prefix(begin).is_some_and(|rest| {
            // Of names of one letter, those that go on with a number: o1, o3-mini.
            begin.len() > 1 || rest.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    let (_, preset) = FAMILIES.iter().find(is_of).filter(|_| !line.contains('/'))?;
    Some(format!("{preset}/{}", truncate(line, 80)))
}

/// The simulation with the settings behind `sim:`, such as `skill=0.3,latency_ms=5`.
#[cfg(feature = "sim")]
fn simulation(settings: &str) -> Result<EngineBuilder, EngineError> {
    Ok(EngineBuilder::simulation(settings.parse()?))
}

#[cfg(not(feature = "sim"))]
fn simulation(_: &str) -> Result<EngineBuilder, EngineError> {
    Err(invalid(
        "expected an engine of this build, got sim; enable the feature `sim` of textgrad-ops, or \
         choose another engine such as ollama/llama3",
    ))
}

/// A model in the process, from the line behind `local:`.
#[cfg(feature = "local")]
fn local(line: &str) -> Result<EngineBuilder, EngineError> {
    Ok(EngineBuilder::local(crate::local::LocalEngineBuilder::from_line(line)?))
}

#[cfg(not(feature = "local"))]
fn local(_: &str) -> Result<EngineBuilder, EngineError> {
    Err(invalid(
        "expected an engine of this build, got a model in the process; build it with the feature local (it needs \
         cmake, a C++ compiler and libclang), or choose another engine such as llamacpp/MODEL",
    ))
}

/// The known name that differs least from a text, unless more than half of it differs. Of equals the first.
fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::levenshtein(&text, name), name))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, name)| edits * 2 <= name.chars().count())
        .map(|(_, name)| name)
}
