//! Sources of a chat template and of its special tokens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

const CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

/// A template and the special tokens of its tokenizer by their names: `bos_token`, `eos_token`, ...
pub(super) struct Loaded {
    pub(super) source: String,
    pub(super) tokens: BTreeMap<String, String>,
}

/// All `..._token` of a tokenizer's settings: texts, or objects with their `content`.
fn special_tokens(config: &Map<String, Json>) -> BTreeMap<String, String> {
    let text = |value: &Json| match value {
        Json::String(token) => Some(token.clone()),
        Json::Object(token) => token.get("content")?.as_str().map(ToOwned::to_owned),
        _ => None,
    };
    let tokens = config.iter().filter(|(name, _)| name.ends_with("_token"));
    tokens.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

pub(super) fn from_config(json: &str) -> Result<Loaded, ChatTemplateError> {
    let config = object(json)?;
    let missing = || ChatTemplateError::Missing { location: "the tokenizer's settings".to_owned() };
    let source = template_of(&config).ok_or_else(missing)?;
    Ok(Loaded { source, tokens: special_tokens(&config) })
}

pub(super) fn from_path(path: &Path) -> Result<Loaded, ChatTemplateError> {
    let is_jinja = path.extension().is_some_and(|extension| extension == "jinja");
    let (config, template) = match path {
        folder if folder.is_dir() => (folder.join(CONFIG), folder.join(TEMPLATE)),
        file if is_jinja => (file.with_file_name(CONFIG), file.to_owned()),
        file => (file.to_owned(), file.with_file_name(TEMPLATE)),
    };
    let config = match read_if_there(&config)? {
        Some(text) => object(&text)?,
        // A template may stand by itself.
        None if is_jinja => Map::new(),
        None => object(&read(&config)?)?,
    };
    // A template of its own file wins, as in Hugging Face's library.
    let source = match read_if_there(&template)? {
        Some(source) => source,
        None if is_jinja => read(&template)?,
        None => template_of(&config).ok_or_else(|| ChatTemplateError::Missing {
            location: format!("{} or {TEMPLATE} beside it", path.display()),
        })?,
    };
    Ok(Loaded { source, tokens: special_tokens(&config) })
}

fn object(json: &str) -> Result<Map<String, Json>, ChatTemplateError> {
    serde_json::from_str(json).map_err(|error| ChatTemplateError::Json { source: Arc::new(error) })
}

/// The template of the settings: a text, or a list of them by name.
fn template_of(config: &Map<String, Json>) -> Option<String> {
    let source = match config.get("chat_template")? {
        Json::Array(named) => named
            .iter()
            .find(|entry| entry.get("name").and_then(Json::as_str) == Some("default"))
            .or_else(|| named.first())?
            .get("template")?,
        Json::Object(named) => named.get("default")?,
        source => source,
    };
    source.as_str().map(ToOwned::to_owned)
}

fn read(path: &Path) -> Result<String, ChatTemplateError> {
    fs::read_to_string(path)
        .map_err(|error| ChatTemplateError::Read { path: path.to_owned(), source: Arc::new(error) })
}

fn read_if_there(path: &Path) -> Result<Option<String>, ChatTemplateError> {
    match fs::exists(path) {
        Ok(false) => Ok(None),
        _ => read(path).map(Some),
    }
}

/// What can go wrong with a chat template.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChatTemplateError {
    /// A file could not be read.
    #[error("expected a chat template or a tokenizer's settings at {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// The tokenizer's settings are no JSON object.
    #[error("expected the settings of a tokenizer as a JSON object")]
    Json {
        /// What is wrong.
        source: Arc<serde_json::Error>,
    },
    /// There is no template.
    #[error(
        "expected a `chat_template`, but there is none in {location}; give the model's own .jinja file, or a server that applies the template itself"
    )]
    Missing {
        /// Where it was looked for.
        location: String,
    },
    /// The template is larger than a template of a model can be.
    #[error("expected a chat template of at most {most} {what}, got {got}; give the model's own")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        most: usize,
        /// The number found.
        got: usize,
    },
    /// The template does not parse.
    #[error("the chat template does not parse")]
    Parse {
        /// Where, and why.
        source: Arc<minijinja::Error>,
    },
    /// The template refuses the conversation, or fails.
    #[error("the chat template could not be applied to the conversation")]
    Render {
        /// Where, and why.
        source: Arc<minijinja::Error>,
    },
}

impl ChatTemplateError {
    pub(super) fn parse(error: minijinja::Error) -> Self {
        Self::Parse { source: Arc::new(error) }
    }
}

/// The template with `{% generation %}` blocks, which mark an answer's tokens for training and print their
/// content, written as a block that every Jinja knows.
pub(super) fn plain(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        plain.push_str(before);
        plain.push_str("{%");
        let word = tag.trim_start_matches(['-', '+']).trim_start();
        let lead = tag.strip_suffix(word).unwrap_or_default();
        let (name, statement) = match word {
            _ if is_word(word, "endgeneration") => ("endgeneration", "endif"),
            _ if is_word(word, "generation") => ("generation", "if true"),
            _ => ("", ""),
        };
        plain.push_str(lead);
        plain.push_str(statement);
        rest = word.strip_prefix(name).unwrap_or(word);
    }
    plain.push_str(rest);
    plain
}

fn is_word(text: &str, word: &str) -> bool {
    let next = text.strip_prefix(word).map(|rest| rest.chars().next());
    matches!(next, Some(Some(next)) if !next.is_alphanumeric() && next != '_')
}
