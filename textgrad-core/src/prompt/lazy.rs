//! Templates that are parsed when they are needed.

use std::sync::OnceLock;

use handlebars::{Handlebars, Template};

use super::bounds::{MAX_DEPTH, MAX_SOURCE};
use super::check::too_deep;
use super::error::PromptError;

/// The most characters of what the parser says.
const MAX_REASON: usize = 500;

/// A template of a pack, parsed when it is needed.
pub(super) struct LazyTemplate {
    pub(super) name: String,
    /// Where it comes from, for errors.
    pub(super) origin: String,
    pub(super) text: String,
    parsed: OnceLock<Template>,
}

impl LazyTemplate {
    pub(super) fn new(name: &str, origin: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, origin, text) = (name.to_owned(), origin.into(), text.into());
        Self { name, origin, text, parsed: OnceLock::new() }
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

    /// The most levels that it may have. Each takes two braces or a parenthesis.
    pub(super) fn max_levels(&self) -> usize {
        self.text.matches("{{").count() + self.text.matches('(').count()
    }

    /// Whether it may include a template.
    pub(super) fn includes(&self, name: &str) -> bool {
        self.text.split('>').skip(1).any(|after| after.trim_start().starts_with(name))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::prompt::bounds::SHALLOW;

    #[test]
    fn what_is_parsed_on_any_stack_takes_half_of_a_usual_one() {
        let nested = |open: &str, middle: &str, close: &str, levels: usize| {
            [open.repeat(levels), middle.to_owned(), close.repeat(levels)].concat()
        };
        for text in [
            nested("{{#if a}}", "x", "{{/if}}", SHALLOW / 2),
            nested("{{#if a}}y{{else}}", "x", "{{/if}}", SHALLOW / 3),
            format!("{{{{#if {}}}}}x{{{{/if}}}}", nested("(not ", "a", ")", SHALLOW - 2)),
        ] {
            let template = LazyTemplate::new("t", "t.hbs", text);
            assert!(template.max_levels() <= SHALLOW && template.max_levels() + 2 > SHALLOW);
            let thread = thread::Builder::new().stack_size(1024 * 1024);
            // Too many levels are an error, no overflow.
            thread.spawn(move || template.template().map(drop)).unwrap().join().unwrap().ok();
        }
    }
}
