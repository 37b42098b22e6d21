//! Objectives that must all pass.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error as CoreError, Gradient, Inputs, Op, OpFailure, Output, Score, Variable,
    apply_one,
};

use super::{evaluate_all, parts, passed, role, scored};
use crate::error::Error;
use crate::loss::Loss;
use crate::prompts::{AllOfContext, PartContext, Prompts};
use crate::score::CheckScorer;

/// Objectives that must all pass; see [`all_of`].
#[derive(Clone)]
pub struct AllOf {
    losses: Vec<Arc<dyn Loss>>,
    prompts: Prompts,
}

/// An objective that passes if all of these do; they are evaluated at the same time.
///
/// One that has no verdict (an evaluation in words, or a number) has neither passed nor failed: the whole has
/// failed if one has failed, has passed if all have, and else has no score. Its text names those that did not
/// pass. Backwards, these are the objective, in their base form; those that passed are told nothing.
///
/// # Errors
/// [`Error::NoParts`] without an objective.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{Score, Variable, backward};
/// use textgrad_ops::check::{Length, MustContain};
/// use textgrad_ops::{ScoreLoss, Loss, all_of};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let short: Arc<dyn Loss> = Arc::new(ScoreLoss::check(Length::words(..=3)?));
/// let named: Arc<dyn Loss> = Arc::new(ScoreLoss::check(MustContain::new(["{name}"])));
/// let text = Variable::differentiable("Dear reader", "greeting");
/// let verdict = all_of([short, named])?.evaluate(&text).await?;
/// assert_eq!(verdict.score(), Some(Score::Passed(false)));
/// let gradients = backward(&verdict).await?;
/// assert_eq!(gradients.get(&text).len(), 1, "it is short enough");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
pub fn all_of(losses: impl IntoIterator<Item = Arc<dyn Loss>>) -> Result<AllOf, Error> {
    let losses: Vec<_> = losses.into_iter().collect();
    if losses.is_empty() {
        return Err(Error::NoParts { what: "all_of" });
    }
    Ok(AllOf { losses, prompts: Prompts::default() })
}

/// [`all_of`] over texts that were evaluated already.
///
/// # Errors
/// [`Error::NoParts`] without one.
pub async fn all_passed<'a>(
    evaluations: impl IntoIterator<Item = &'a Variable>,
) -> Result<Variable, Error> {
    let inputs = parts(evaluations.into_iter().cloned());
    if inputs.is_empty() {
        return Err(Error::NoParts { what: "all_passed" });
    }
    Ok(apply_one(Arc::new(AllOfOp(Prompts::default())), inputs).await?)
}

impl AllOf {
    /// The wording of the text.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.prompts = prompts.into();
        self
    }
}

#[async_trait]
impl Loss for AllOf {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, CoreError> {
        let evaluations = evaluate_all(&self.losses, text).await?;
        apply_one(Arc::new(AllOfOp(self.prompts.clone())), parts(evaluations)).await
    }
}

struct AllOfOp(Prompts);

#[async_trait]
impl Op for AllOfOp {
    fn name(&self) -> &str {
        "all of"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, CoreError> {
        inputs.texts()?;
        let verdicts: Vec<Option<bool>> =
            inputs.iter().map(|input| passed(input.variable())).collect();
        let score = if verdicts.contains(&Some(false)) {
            Some(false)
        } else if verdicts.contains(&None) {
            None
        } else {
            Some(true)
        };
        let text = match score {
            Some(true) => CheckScorer::PASSED.to_owned(),
            _ => {
                let open = inputs.iter().map(|input| input.variable());
                let open = open.filter(|part| passed(part) != Some(true));
                let context = AllOfContext { parts: open.map(PartContext::new).collect() };
                self.0.render("all_of", &context)?
            }
        };
        let output = Output::new(text, role("whether all of these pass", inputs));
        Ok(vec![scored(output, score.map(Score::Passed))])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let said = Gradient::join(cx.gradients(0));
        let parts = cx.inputs().iter().map(|input| input.variable());
        Ok(parts.map(|part| said.clone().filter(|_| passed(part) != Some(true))).collect())
    }
}

impl fmt::Debug for AllOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllOf").field("losses", &self.losses.len()).finish_non_exhaustive()
    }
}
