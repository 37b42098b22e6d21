//! Objectives made of objectives that pass or fail.

use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use textgrad_core::{
    BackwardCx, Error as CoreError, Gradient, Inputs, Op, OpFailure, Output, Score, Variable,
    apply_one,
};

use super::{Loss, scored};
use crate::error::Error;
use crate::prompts::{AllOfContext, PartContext, Prompts};
use crate::score::CheckScorer;

/// Objectives that must all pass; see [`all_of`].
#[derive(Debug, Clone, Setters)]
pub struct AllOf {
    #[setters(skip)]
    losses: Vec<Arc<dyn Loss>>,
    /// The wording of the text.
    #[setters(into)]
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
/// use textgrad_core::{Score, Variable, backward};
/// use textgrad_ops::check::{Length, MustContain};
/// use textgrad_ops::{ScoreLoss, Loss, all_of};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let short = ScoreLoss::check(Length::words(..=3)?).shared();
/// let named = ScoreLoss::check(MustContain::new(["{name}"])).shared();
/// let text = Variable::differentiable("Dear reader", "greeting");
/// let verdict = all_of([short, named])?.evaluate(&text).await?;
/// assert_eq!(verdict.score(), Some(Score::Passed(false)));
/// let gradients = backward(&verdict).await?;
/// assert_eq!(gradients.get(&text).len(), 1, "it is short enough");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
pub fn all_of(losses: impl IntoIterator<Item = Arc<dyn Loss>>) -> Result<AllOf, Error> {
    Ok(AllOf { losses: at_least_one("all_of", losses)?, prompts: Prompts::default() })
}

/// [`all_of`] over texts that were evaluated already.
///
/// # Errors
/// [`Error::NoParts`] without one.
pub async fn all_passed<V: Into<Variable>>(
    evaluations: impl IntoIterator<Item = V>,
) -> Result<Variable, Error> {
    let evaluations = at_least_one("all_passed", evaluations.into_iter().map(Into::into))?;
    Ok(apply_one(Arc::new(AllOfOp(Prompts::default())), parts(evaluations)).await?)
}

impl AllOf {
    pub(super) fn own_settings(&self) -> Json {
        json!({ "all_of": settings(&self.losses) })
    }

    /// Evaluates a text.
    ///
    /// # Errors
    /// [`CoreError::Forward`] with the failure of the first objective that had one.
    pub async fn evaluate(&self, text: impl Into<Variable>) -> Result<Variable, CoreError> {
        let evaluations = evaluate_all(&self.losses, &text.into()).await?;
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

/// Objectives in order, until one does not pass; see [`first_failing`].
#[derive(Debug, Clone)]
pub struct FirstFailing {
    losses: Vec<Arc<dyn Loss>>,
}

/// An objective that evaluates by these in their order and stops at the first that fails or has no verdict:
/// its text and its score are those of the whole.
///
/// So checks that cost nothing, or a compiler and unit tests, stand before a critique in words, which is asked
/// for only once they pass. Backwards, the one at which it stopped is the objective, in its base form. If all
/// passed, nothing is said.
///
/// # Errors
/// [`Error::NoParts`] without an objective.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::Variable;
/// use textgrad_ops::check::Length;
/// use textgrad_ops::{ScoreLoss, Loss, TextLoss, first_failing};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["It could be wittier."]));
/// let short = ScoreLoss::check(Length::words(..=3)?).shared();
/// let style = TextLoss::new(engine.clone(), "Judge the style.").shared();
/// let loss = first_failing([short, style])?;
///
/// loss.evaluate(&Variable::differentiable("Man bites dog in park", "headline")).await?;
/// assert!(engine.requests().is_empty(), "no model is asked while it is too long");
/// let verdict = loss.evaluate(&Variable::differentiable("Man bites dog", "headline")).await?;
/// assert_eq!(verdict.text(), Some("It could be wittier."));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
pub fn first_failing(
    losses: impl IntoIterator<Item = Arc<dyn Loss>>,
) -> Result<FirstFailing, Error> {
    Ok(FirstFailing { losses: at_least_one("first_failing", losses)? })
}

impl FirstFailing {
    pub(super) fn own_settings(&self) -> Json {
        json!({ "first_failing": settings(&self.losses) })
    }

    /// Evaluates a text.
    ///
    /// # Errors
    /// [`CoreError::Forward`] with the failure of an objective.
    pub async fn evaluate(&self, text: impl Into<Variable>) -> Result<Variable, CoreError> {
        let text = text.into();
        let mut evaluations = Vec::new();
        for loss in &self.losses {
            let evaluation = loss.evaluate(&text).await?;
            let stop = passed(&evaluation) != Some(true);
            evaluations.push(evaluation);
            if stop {
                break;
            }
        }
        apply_one(Arc::new(SelectLast), parts(evaluations)).await
    }
}

/// The last of its inputs; those before it passed.
struct SelectLast;

#[async_trait]
impl Op for SelectLast {
    fn name(&self) -> &str {
        "first failing"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, CoreError> {
        let last = inputs.iter().next_back().map(|input| input.variable());
        let outputs = last.map(|last| {
            scored(Output::new(last.value().clone(), Arc::clone(last.role())), last.score())
        });
        Ok(outputs.into_iter().collect())
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let mut said = vec![None; cx.inputs().len()];
        if let (Some(input), Some(last)) = (cx.inputs().iter().next_back(), said.last_mut())
            && passed(input.variable()) != Some(true)
        {
            *last = Gradient::join(cx.gradients(0));
        }
        Ok(said)
    }
}

/// Parts of a composition, which has at least one.
fn at_least_one<T>(
    what: &'static str,
    parts: impl IntoIterator<Item = T>,
) -> Result<Vec<T>, Error> {
    let parts: Vec<T> = parts.into_iter().collect();
    if parts.is_empty() { Err(Error::NoParts { what }) } else { Ok(parts) }
}

/// Evaluates a text by several objectives at the same time. All are let finish, for they are paid for; the
/// first failure, in their order, is that of the whole.
pub(super) async fn evaluate_all<'a>(
    losses: impl IntoIterator<Item = &'a Arc<dyn Loss>>,
    text: &Variable,
) -> Result<Vec<Variable>, CoreError> {
    join_all(losses.into_iter().map(|loss| loss.evaluate(text))).await.into_iter().collect()
}

/// The settings of several objectives.
pub(super) fn settings(losses: &[Arc<dyn Loss>]) -> Vec<Json> {
    losses.iter().map(|loss| loss.settings()).collect()
}

pub(super) fn parts(evaluations: impl IntoIterator<Item = Variable>) -> Inputs {
    Inputs::new(evaluations.into_iter().map(|evaluation| ("part", evaluation)))
}

/// Whether an evaluation passed; `None` if it has no verdict.
pub(super) fn passed(evaluation: &Variable) -> Option<bool> {
    evaluation.score().and_then(Score::passed)
}

/// What a composition is for, in words.
pub(super) fn role(what: &str, inputs: &Inputs) -> String {
    let mut roles: Vec<&str> = inputs.iter().map(|input| &**input.variable().role()).collect();
    roles.dedup();
    format!("{what}: {}", roles.join("; "))
}
