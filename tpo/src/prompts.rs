//! The instructions that are TPO's own, as templates; see [`textgrad_core::PromptPack`].
//!
//! | template | message | variables |
//! |---|---|---|
//! | `sample_system` | system message of the first answers; not sent if it is empty | [`SampleContext`] |
//! | `direct_feedback` | what stands for feedback in the request for an update, where there is neither loss nor gradient | [`DirectContext`] |
//! | `improve_feedback` | the same without any criticism | [`DirectContext`] |
//! | `answer_role`, `update_constraints` | what the answer that is rewritten is, in words; what new versions must obey, a line each | [`AnswerContext`] |
//! | `fuse` | the request for an answer made of several, by notes on them, or both | [`FuseContext`] |
//! | `attend`, `distill` | those for notes: which parts of answers matter; what drafts come to | [`FuseContext`] |
//! | `reward_pointwise_system`, `reward_pointwise` | system and user message of a request for a grade | [`GradeContext`] |
//! | `reward_pairwise_system`, `reward_pairwise` | those of a request to compare two answers | [`CompareContext`] |
//! | `reward_retry` | added to the last message of these when the reply could not be read | [`RetryContext`] |
//! | `duel_system`, `duel` | system and user message of a comparison of two answers in Arena-Hard | `GameContext` |
//! | `preference_system`, `preference` | those of a comparison of two outputs in AlpacaEval | `PreferenceContext` |
//! | `refusal_system`, `refusal` | those of the question whether an answer refuses, in XSTest; an empty system message is not sent | `RefusalContext` |
//! | `math_query` | what is asked with a problem of MATH-500 | `MathContext` |
//!
//! The last four rows belong to the feature `bench`. The loss, feedback and updates are worded by the templates
//! of [`textgrad_ops::prompts`]: that of a pair of
//! answers by `contrastive_system`, that of one answer by `evaluation_system`.

/// A template by its name and the type of its variables.
macro_rules! template {
    ($name:literal, $context:ty) => {
        TemplateSpec::new::<$context>($name, include_str!(concat!("../prompts/", $name, ".hbs")))
    };
}

use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use textgrad_core::{PromptError, PromptPack, TemplateSpec};
use textgrad_ops::prompts::RetryContext;

/// The variables of `sample_system`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleContext<'a> {
    /// The user's query.
    pub query: &'a str,
}

/// The variables of `direct_feedback`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DirectContext<'a> {
    /// The user's query.
    pub query: &'a str,
    /// The response that is rewritten.
    pub chosen: &'a str,
    /// What it was preferred to; none where there is nothing to compare with.
    #[serde(borrow)]
    pub rejected: Vec<&'a str>,
}

/// The variables of `answer_role` and `update_constraints`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerContext<'a> {
    /// The user's query.
    pub query: &'a str,
    /// Whether the answer is compared with others.
    pub compared: bool,
}

/// The variables of `fuse`, `attend` and `distill`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FuseContext<'a> {
    /// The user's query.
    pub query: &'a str,
    /// Answers to it.
    #[serde(borrow)]
    pub answers: Vec<&'a str>,
    /// Notes on them, or on earlier ones.
    pub notes: Option<&'a str>,
}

/// The variables of `reward_pointwise_system` and `reward_pointwise`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GradeContext<'a> {
    /// The query, a conversation turn by turn.
    pub query: &'a str,
    /// The answer that is graded.
    pub answer: &'a str,
    /// What is graded by, if the user says so.
    #[serde(borrow)]
    pub rubric: Option<&'a str>,
    /// The worst grade.
    pub lowest: String,
    /// The best grade.
    pub highest: String,
    /// Whether grades are digits, of which one alone can be read.
    pub digits: bool,
    /// What must stand before the grade.
    pub start_tag: &'a str,
    /// What must stand behind it.
    pub end_tag: &'a str,
}

/// The variables of `reward_pairwise_system` and `reward_pairwise`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CompareContext<'a> {
    /// The query, a conversation turn by turn.
    pub query: &'a str,
    /// The answer that the verdict `A` stands for.
    pub first: &'a str,
    /// The answer that the verdict `B` stands for.
    pub second: &'a str,
    /// What is compared by, if the user says so.
    #[serde(borrow)]
    pub rubric: Option<&'a str>,
    /// What must stand before the verdict.
    pub start_tag: &'a str,
    /// What must stand behind it.
    pub end_tag: &'a str,
}

/// All templates that a TPO run uses: those of `textgrad-ops` and TPO's own.
#[must_use]
pub fn templates() -> Vec<TemplateSpec> {
    let mut templates = textgrad_ops::prompts::templates();
    templates.extend([
        template!("sample_system", SampleContext<'_>),
        template!("direct_feedback", DirectContext<'_>),
        template!("improve_feedback", DirectContext<'_>),
        template!("answer_role", AnswerContext<'_>),
        template!("update_constraints", AnswerContext<'_>),
        template!("fuse", FuseContext<'_>),
        template!("attend", FuseContext<'_>),
        template!("distill", FuseContext<'_>),
        template!("reward_pointwise_system", GradeContext<'_>),
        template!("reward_pointwise", GradeContext<'_>),
        template!("reward_pairwise_system", CompareContext<'_>),
        template!("reward_pairwise", CompareContext<'_>),
        template!("reward_retry", RetryContext),
    ]);
    #[cfg(feature = "bench")]
    templates.extend(bench_templates());
    templates
}

/// The wording of the benchmarks.
#[cfg(feature = "bench")]
fn bench_templates() -> [TemplateSpec; 7] {
    use crate::bench::alpaca_eval::PreferenceContext;
    use crate::bench::arena_hard::GameContext;
    use crate::bench::math500::MathContext;
    use crate::bench::xstest::RefusalContext;
    [
        template!("duel_system", GameContext<'_>),
        template!("duel", GameContext<'_>),
        template!("preference_system", PreferenceContext<'_>),
        template!("preference", PreferenceContext<'_>),
        template!("refusal_system", RefusalContext<'_>),
        template!("refusal", RefusalContext<'_>),
        template!("math_query", MathContext<'_>),
    ]
}

/// The default pack. Templates are parsed when they are rendered for the first time.
///
/// # Examples
/// A search with one template in other words:
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::sim::Sim;
/// use tpo::prompts::default_pack;
/// use tpo::{SimReward, Tpo};
///
/// let default = default_pack();
/// let system = default.source("update_system").unwrap_or_default();
/// let brief = default.with_template("update_system", &format!("{system}\nBe brief."))?;
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).prompts(Arc::new(brief)).build()?;
/// assert!(tpo.prompts().source("update_system").is_some_and(|text| text.ends_with("Be brief.")));
/// assert!(default.with_template("updat_system", "Be brief.").is_err());
/// # Ok::<(), tpo::Error>(())
/// ```
#[must_use]
pub fn default_pack() -> PromptPack {
    static DEFAULT: LazyLock<PromptPack> = LazyLock::new(|| PromptPack::unchecked(templates()));
    DEFAULT.clone()
}

/// The templates of the compact pack that differ from the default ones.
const COMPACT: [(&str, &str); 11] = [
    ("contrastive_system", include_str!("../prompts/compact/contrastive_system.hbs")),
    ("evaluation_system", include_str!("../prompts/compact/evaluation_system.hbs")),
    ("feedback_system", include_str!("../prompts/compact/feedback_system.hbs")),
    ("feedback_base", include_str!("../prompts/compact/feedback_base.hbs")),
    ("gradient", include_str!("../prompts/compact/gradient.hbs")),
    ("update_system", include_str!("../prompts/compact/update_system.hbs")),
    ("update", include_str!("../prompts/compact/update.hbs")),
    ("update_retry", include_str!("../prompts/compact/update_retry.hbs")),
    ("update_constraints", include_str!("../prompts/compact/update_constraints.hbs")),
    ("direct_feedback", include_str!("../prompts/compact/direct_feedback.hbs")),
    ("improve_feedback", include_str!("../prompts/compact/improve_feedback.hbs")),
];

/// The pack for small models: short instructions, one task in each prompt, the query first, and plain headings in place
/// of sections. The simulation does not know its requests.
///
/// # Examples
/// ```
/// let (compact, default) = (tpo::prompts::compact_pack(), tpo::prompts::default_pack());
/// let length = |pack: &textgrad_core::PromptPack| pack.source("update").map(str::len);
/// assert_ne!(length(&compact), length(&default));
/// ```
#[must_use]
pub fn compact_pack() -> PromptPack {
    PromptPack::unchecked(compact_templates())
}

fn compact_templates() -> impl Iterator<Item = TemplateSpec> {
    let compact = |spec: TemplateSpec| {
        let own = COMPACT.iter().find(|(name, _)| *name == spec.name());
        own.map_or(spec.clone(), |(_, source)| spec.with_source(source))
    };
    templates().into_iter().map(compact)
}

/// Whether a template words a request whose reply is a score, or a query of a benchmark.
#[cfg(feature = "report")]
pub(crate) fn words_scores(template: &str) -> bool {
    const BEGINNINGS: [&str; 5] = ["reward_", "preference", "duel", "refusal", "math_query"];
    BEGINNINGS.iter().any(|beginning| template.starts_with(beginning))
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
    fn the_built_in_packs_are_sound() {
        PromptPack::new(templates()).unwrap();
        PromptPack::new(compact_templates()).unwrap();
    }

    #[test]
    fn the_compact_pack_replaces_templates_that_there_are() {
        let (compact, default) = (compact_pack(), default_pack());
        for (name, _) in COMPACT {
            assert_ne!(compact.source(name), default.source(name), "{name}");
        }
        let same = compact.sources().filter(|(name, text)| default.source(name) == Some(*text));
        assert_eq!(same.count() + COMPACT.len(), default.sources().count());
    }
}
