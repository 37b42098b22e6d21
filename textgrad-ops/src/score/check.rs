//! Checks as scorers.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::{Check, Error, catch_panic, truncate};

use super::{Example, Scorer, Verdict};
use crate::prompts::{CheckContext, Prompts};

/// A [`Check`] as a scorer: the text passes or not, and the violation is the feedback. No model is asked.
///
/// The report is `passed`, or the violation. The feedback is the template `check_feedback`.
///
/// # Examples
/// ```
/// use textgrad_ops::check::Length;
/// use textgrad_ops::score::{CheckScorer, Example, Scorer};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let short = CheckScorer::new(Length::words(..=3)?);
/// let verdict = short.score("Man bites dog in park", &Example::new("1")).await?;
/// assert_eq!(verdict.passed(), Some(false));
/// assert_eq!(verdict.report(), "it has 5 words, 2 too many");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(into)]
pub struct CheckScorer {
    #[setters(skip)]
    check: Arc<dyn Check>,
    /// Replaces the name, for a rule of many words. The identity stays the rule.
    #[setters(rename = "named")]
    name: Arc<str>,
    /// The templates of the feedback.
    prompts: Prompts,
}

impl CheckScorer {
    /// Report on a text for which the check holds.
    pub const PASSED: &'static str = "passed";

    /// A scorer by this check. Its name is `check: ` and the rule.
    pub fn new(check: impl Check + 'static) -> Self {
        let name = format!("check: {}", check.rule()).into();
        Self { check: Arc::new(check), name, prompts: Prompts::default() }
    }
}

#[async_trait]
impl Scorer for CheckScorer {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Owned(format!("check: {}", self.check.rule()))
    }

    fn purpose(&self) -> Cow<'_, str> {
        Cow::Owned(format!("checks of a text that {}", self.check.rule()))
    }

    fn role(&self) -> Cow<'_, str> {
        Cow::Owned(format!("verdict of a check that {}", truncate(&self.check.rule(), 200)))
    }

    /// # Errors
    /// [`Error::Op`] if the check panics.
    async fn score(&self, text: &str, _: &Example) -> Result<Verdict, Error> {
        let checked = catch_panic(|| self.check.check(text)).map_err(|panic| {
            Error::op(format!("expected a verdict of the check, but it panicked: {panic}"))
        })?;
        let Err(violation) = checked else {
            return Ok(Verdict::new(true).with_report(Self::PASSED));
        };
        let context = CheckContext { rule: &self.check.rule(), violation: &violation };
        let feedback = self.prompts.render("check_feedback", &context);
        Ok(Verdict::new(false).with_report(violation).with_rendered_feedback(feedback))
    }
}
