//! The instructions that are TPO's own, as templates; see [`textgrad_core::PromptPack`].
//!
//! | template | message | variables |
//! |---|---|---|
//! | `sample_system` | system message of the first answers; not sent if it is empty | `query` |
//!
//! The loss, feedback and updates are worded by the templates of [`textgrad_ops::prompts`]: that of a pair of
//! answers by `contrastive_system`, that of one answer by `evaluation_system`.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value as Json, json};
use textgrad_core::{PromptError, PromptPack, TemplateContext, TemplateSpec};

/// The variables of `sample_system`.
#[derive(Debug, Clone, Serialize)]
pub struct SampleContext<'a> {
    /// The user's query.
    pub query: &'a str,
}

impl TemplateContext for SampleContext<'_> {
    fn example() -> Json {
        json!({ "query": "" })
    }
}

/// All templates that a TPO run uses: those of `textgrad-ops` and TPO's own.
#[must_use]
pub fn templates() -> Vec<TemplateSpec> {
    let mut templates = textgrad_ops::prompts::templates();
    templates.push(TemplateSpec::new::<SampleContext<'_>>(
        "sample_system",
        include_str!("../prompts/sample_system.hbs"),
    ));
    templates
}

/// The default pack.
///
/// # Errors
/// None in practice: the defaults are checked by a test.
pub fn default_pack() -> Result<PromptPack, PromptError> {
    PromptPack::new(templates())
}

/// The default pack with the templates in a folder in place of its own. Blocking: call it before the work
/// begins.
///
/// # Errors
/// A [`PromptError`] that names the file, the line and what is wrong.
pub fn load_pack(dir: &Path) -> Result<PromptPack, PromptError> {
    PromptPack::from_dir(templates(), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_pack_is_sound() {
        default_pack().unwrap();
    }
}
