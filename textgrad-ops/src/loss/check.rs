//! A check as an objective.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Check, Error, Gradient, Inputs, Op, OpFailure, Output, Variable, apply_one,
    truncate,
};

use super::Loss;
use super::stated::complain;
use crate::check::verdict;
use crate::prompts::{CheckContext, Prompts};

/// A [`Check`] as an objective: it passed or not, and its violation is the feedback. No model is asked.
///
/// The evaluation is the text `passed`, or what is wrong. Backwards, a text that violates the check is told
/// so, with what was said about the verdict, if anything; one that holds is told nothing of its own.
///
/// # Examples
/// ```
/// use textgrad_core::{Score, Variable, backward};
/// use textgrad_ops::CheckLoss;
/// use textgrad_ops::check::Length;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let loss = CheckLoss::new(Length::words(..=3)?);
/// let headline = Variable::differentiable("Man bites dog in park", "headline");
/// let verdict = loss.evaluate(&headline).await?;
/// assert_eq!(verdict.text(), Some("it has 5 words, 2 too many"));
/// assert_eq!(verdict.score(), Some(Score::Passed(false)));
/// let gradients = backward(&verdict).await?;
/// assert!(gradients.text(&headline).contains("2 too many"));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct CheckLoss {
    check: Arc<dyn Check>,
    purpose: Arc<str>,
    role: Arc<str>,
    prompts: Prompts,
}

impl CheckLoss {
    /// The text of the evaluation of a text for which the check holds.
    pub const PASSED: &'static str = "passed";

    /// This check as an objective.
    pub fn new(check: impl Check + 'static) -> Self {
        let rule = check.rule();
        Self {
            purpose: format!("checks of a text that {rule}").into(),
            role: format!("verdict of a check that {}", truncate(&rule, 200)).into(),
            check: Arc::new(check),
            prompts: Prompts::default(),
        }
    }

    /// The wording of the feedback.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.prompts = prompts.into();
        self
    }

    /// What the verdict is for, in words.
    #[must_use]
    pub fn response_role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.role = role.into();
        self
    }

    /// Checks a text.
    ///
    /// # Errors
    /// [`Error::Forward`] if it is an image, or if the check panics.
    pub async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        apply_one(Arc::new(self.clone()), [("text", text)]).await
    }
}

#[async_trait]
impl Op for CheckLoss {
    fn name(&self) -> &str {
        "check"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let checked = verdict(&*self.check, inputs.text("text")?).map_err(|panic| {
            Error::op(format!("expected a verdict of the check, but it panicked: {panic}"))
        })?;
        let passed = checked.is_ok();
        let text = checked.err().unwrap_or_else(|| Self::PASSED.to_owned());
        Ok(vec![Output::new(text, Arc::clone(&self.role)).with_score(passed)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let failed = cx
            .outputs()
            .first()
            .filter(|made| made.score().and_then(textgrad_core::Score::passed) == Some(false));
        let complaint = match failed.and_then(|made| made.value().as_text()) {
            Some(violation) => {
                let rule = self.check.rule();
                let context = CheckContext { rule: &rule, violation };
                Some(self.prompts.render("check_feedback", &context)?)
            }
            None => None,
        };
        complain(cx, "violation", &self.purpose, complaint.as_deref()).await
    }
}

#[async_trait]
impl Loss for CheckLoss {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        self.evaluate(text).await
    }
}

impl fmt::Debug for CheckLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckLoss").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}
