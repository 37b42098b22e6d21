//! The instructions that are TPO's own, as templates; see [`textgrad_core::PromptPack`].
//!
//! | template | message | variables |
//! |---|---|---|
//! | `sample_system` | system message of the first answers; not sent if it is empty | `query` |
//! | `duel_system`, `duel` | system and user message of a comparison of two answers in Arena-Hard | [`DuelContext`] |
//! | `preference_system`, `preference` | those of a comparison of two outputs in AlpacaEval | [`PreferenceContext`] |
//! | `refusal_system`, `refusal` | those of the question whether an answer refuses, in XSTest; an empty system message is not sent | [`RefusalContext`] |
//! | `math_query` | what is asked with a problem of MATH-500 | [`MathContext`] |
//!
//! The loss, feedback and updates are worded by the templates of [`textgrad_ops::prompts`]: that of a pair of
//! answers by `contrastive_system`, that of one answer by `evaluation_system`.

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../prompts/", $name, ".hbs"))
    };
}

use std::path::Path;

use serde::Serialize;
use serde_json::{Value as Json, json};
use textgrad_core::{PromptError, PromptPack, TemplateContext, TemplateSpec};

use crate::bench::alpaca_eval::PreferenceContext;
use crate::bench::arena_hard::DuelContext;
use crate::bench::math500::MathContext;
use crate::bench::xstest::RefusalContext;

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
    templates.extend([
        TemplateSpec::new::<SampleContext<'_>>("sample_system", text!("sample_system")),
        TemplateSpec::new::<DuelContext<'_>>("duel_system", text!("duel_system")),
        TemplateSpec::new::<DuelContext<'_>>("duel", text!("duel")),
        TemplateSpec::new::<PreferenceContext<'_>>("preference_system", text!("preference_system")),
        TemplateSpec::new::<PreferenceContext<'_>>("preference", text!("preference")),
        TemplateSpec::new::<RefusalContext<'_>>("refusal_system", text!("refusal_system")),
        TemplateSpec::new::<RefusalContext<'_>>("refusal", text!("refusal")),
        TemplateSpec::new::<MathContext<'_>>("math_query", text!("math_query")),
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
