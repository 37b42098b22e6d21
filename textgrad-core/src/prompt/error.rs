//! Errors of prompt packs.

use std::path::PathBuf;
use std::sync::Arc;

/// What can be wrong with a prompt pack.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// A template does not parse.
    #[error("{file}, line {line}: not a handlebars template: {reason}")]
    Syntax {
        /// The file, or the name of a built-in template.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// A template uses a variable that it is not given.
    #[error("{file}, line {line}: unknown variable {variable:?}; known here: {}", known.join(", "))]
    UnknownVariable {
        /// The file, or the name of a built-in template.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The variable.
        variable: String,
        /// The variables that there are.
        known: Vec<String>,
    },
    /// A template uses something that packs do not have.
    #[error("{file}, line {line}: {reason}")]
    Unsupported {
        /// The file, or the name of a built-in template.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What it is and what to use.
        reason: String,
    },
    /// A folder holds a file that is no template of the pack.
    #[error("{}: no template has this name; expected one of {}, or a partial whose name begins with an underscore", path.display(), known.join(", "))]
    UnknownTemplate {
        /// The file.
        path: PathBuf,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A folder holds no template.
    #[error("{}: expected a folder with at least one .hbs file, found none", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder cannot be read.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// A template that the code needs is not in the pack.
    #[error(
        "the prompt pack has no template {name:?}; it was made without the templates of the crate that uses it"
    )]
    Missing {
        /// The template.
        name: String,
    },
    /// A template cannot be rendered.
    #[error("prompt template {name:?} could not be rendered: {reason}")]
    Render {
        /// The template.
        name: String,
        /// What went wrong.
        reason: String,
    },
}
