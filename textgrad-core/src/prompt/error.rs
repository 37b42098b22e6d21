//! Errors of prompt packs.

use std::path::{Path, PathBuf};
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
    /// A file or a text is named after no template of the pack.
    #[error("{}: no template has this name; expected {}, or a partial whose name begins with an underscore", path.display(), names(path, known))]
    UnknownTemplate {
        /// The file, or the name of the text.
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

/// The most names that an error lists.
const MAX_NAMES: usize = 8;
/// The names that an error lists where there are more.
const NEAREST: usize = 4;

/// The names of the templates, or the nearest to that of a file, and where all are listed.
fn names(path: &Path, known: &[String]) -> String {
    if known.len() <= MAX_NAMES {
        return format!("one of {}", known.join(", "));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut near: Vec<&str> = known.iter().map(String::as_str).collect();
    let similarity = |known: &str| strsim::normalized_damerau_levenshtein(&name, known);
    near.sort_by(|a, b| similarity(b).total_cmp(&similarity(a)));
    near.truncate(NEAREST);
    let (near, count) = (near.join(", "), known.len());
    format!(
        "one of {count} names, the nearest of which are {near} (docs/prompt-packs.md lists all)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_the_nearest_are_listed() {
        let mut known: Vec<String> = (0..60).map(|number| format!("other_{number}")).collect();
        known.insert(30, "sample_system".to_owned());
        let error = PromptError::UnknownTemplate { path: "p/sampel_system.hbs".into(), known };
        let error = error.to_string();
        assert!(
            error.contains("one of 61 names, the nearest of which are sample_system, "),
            "{error}"
        );
        assert!(error.contains("docs/prompt-packs.md lists all"), "{error}");
        assert_eq!(error.matches("other_").count(), NEAREST - 1, "{error}");
    }
}
