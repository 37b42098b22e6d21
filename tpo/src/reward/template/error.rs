//! What can go wrong with a chat template.

use std::path::PathBuf;
use std::sync::Arc;

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
        "expected a `chat_template`, but there is none in {place}; give the model's own .jinja file, or a server that applies the template itself"
    )]
    Missing {
        /// Where it was looked for.
        place: String,
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
