//! Objectives in order, until one does not pass.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error as CoreError, Gradient, Inputs, Op, OpFailure, Output, Variable, apply_one,
};

use super::{parts, passed, scored};
use crate::error::Error;
use crate::loss::Loss;

/// Objectives in order, until one does not pass; see [`first_failing`].
#[derive(Clone)]
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
/// let short: Arc<dyn Loss> = Arc::new(ScoreLoss::check(Length::words(..=3)?));
/// let style: Arc<dyn Loss> = Arc::new(TextLoss::new(engine.clone(), "Judge the style."));
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
    let losses: Vec<_> = losses.into_iter().collect();
    if losses.is_empty() {
        return Err(Error::NoParts { what: "first_failing" });
    }
    Ok(FirstFailing { losses })
}

#[async_trait]
impl Loss for FirstFailing {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, CoreError> {
        let mut evaluations = Vec::new();
        for loss in &self.losses {
            let evaluation = loss.evaluate(text).await?;
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

impl fmt::Debug for FirstFailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstFailing").field("losses", &self.losses.len()).finish()
    }
}
