//! Templates of packs, parsed when they are needed.

use std::sync::OnceLock;

use handlebars::{Handlebars, Template};

use super::bounds::{MAX_DEPTH, MAX_SOURCE};
use super::check::too_deep;
use super::error::PromptError;

/// The text of a template.
pub(super) struct Source {
    /// Where it comes from, for errors.
    pub(super) origin: String,
    pub(super) text: String,
}

/// The most characters of what the parser says.
const MAX_REASON: usize = 500;

/// A template of a pack.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) origin: String,
    pub(super) text: String,
    parsed: OnceLock<Template>,
}

impl Known {
    pub(super) fn new(name: &str, source: Source) -> Self {
        let Source { origin, text } = source;
        Self { name: name.to_owned(), origin, text, parsed: OnceLock::new() }
    }

    /// The template, parsed when it is asked for first.
    pub(super) fn template(&self) -> Result<&Template, PromptError> {
        match self.parsed.get() {
            Some(template) => Ok(template),
            None => {
                let template = self.parse()?;
                Ok(self.parsed.get_or_init(|| template))
            }
        }
    }

    fn parse(&self) -> Result<Template, PromptError> {
        let unsupported =
            |line, reason| PromptError::Unsupported { file: self.origin.clone(), line, reason };
        let length = self.text.len();
        if length > MAX_SOURCE {
            return Err(unsupported(
                1,
                format!("expected at most {MAX_SOURCE} bytes, got {length}"),
            ));
        }
        // Only a registry compiles without indenting the lines of a partial, and with them those of values.
        let mut compiler = Handlebars::new();
        compiler.set_prevent_indent(true);
        if let Err(error) = compiler.register_template_string(&self.name, &self.text) {
            return Err(PromptError::Syntax {
                file: self.origin.clone(),
                line: error.pos().map_or(1, |(line, _)| line),
                // The parser quotes what it could not read, however long it is.
                reason: error.reason().to_string().chars().take(MAX_REASON).collect(),
            });
        }
        let template = compiler.get_template(&self.name).cloned();
        let template = template.ok_or_else(|| PromptError::Missing { name: self.name.clone() })?;
        match too_deep(&template, MAX_DEPTH) {
            Some(line) => {
                Err(unsupported(line, format!("expected at most {MAX_DEPTH} levels of nesting")))
            }
            None => Ok(template),
        }
    }

    /// Whether it may include a template.
    pub(super) fn includes(&self, name: &str) -> bool {
        self.text.split('>').skip(1).any(|after| after.trim_start().starts_with(name))
    }
}
