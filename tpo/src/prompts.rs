//! The instructions that are TPO's own, as templates; see [`textgrad_core::PromptPack`].
//!
//! | template | message | variables |
//! |---|---|---|
//! | `sample_system` | system message of the first answers; not sent if it is empty | `query` |
//! | `loss_system` | system message of the preference loss | `query`, `chosen`, `rejected` |
//! | `revision_system` | system message of the loss without a rejected answer | `query`, `chosen` |
//!
//! The user message of a loss is the chosen answer itself: it is the variable that is differentiated.
//! Feedback and updates are worded by the templates of [`textgrad_ops::prompts`].

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

/// The variables of `loss_system`.
#[derive(Debug, Clone, Serialize)]
pub struct PreferenceContext<'a> {
    /// The user's query.
    pub query: &'a str,
    /// The answer with the highest reward.
    pub chosen: &'a str,
    /// The answer with the lowest reward.
    pub rejected: &'a str,
}

impl TemplateContext for PreferenceContext<'_> {
    fn example() -> Json {
        json!({ "query": "", "chosen": "", "rejected": "" })
    }
}

/// The variables of `revision_system`.
#[derive(Debug, Clone, Serialize)]
pub struct RevisionContext<'a> {
    /// The user's query.
    pub query: &'a str,
    /// The answer with the highest reward.
    pub chosen: &'a str,
}

impl TemplateContext for RevisionContext<'_> {
    fn example() -> Json {
        json!({ "query": "", "chosen": "" })
    }
}

/// All templates that a TPO run uses: those of `textgrad-ops` and TPO's own.
#[must_use]
pub fn templates() -> Vec<TemplateSpec> {
    let mut templates = textgrad_ops::prompts::templates();
    templates.extend([
        TemplateSpec::new::<SampleContext<'_>>(
            "sample_system",
            include_str!("../prompts/sample_system.hbs"),
        ),
        TemplateSpec::new::<PreferenceContext<'_>>(
            "loss_system",
            include_str!("../prompts/loss_system.hbs"),
        ),
        TemplateSpec::new::<RevisionContext<'_>>(
            "revision_system",
            include_str!("../prompts/revision_system.hbs"),
        ),
    ]);
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
