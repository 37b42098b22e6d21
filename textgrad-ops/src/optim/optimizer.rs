//! The trait of optimizers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;
use textgrad_core::{Gradients, Parameter, Score, Variable};

use super::proposal::Proposal;
use crate::error::Error;

/// Something that proposes new texts for parameters.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, backward};
/// use textgrad_ops::{Optimizer, TextLoss, TextualGradientDescent};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new([
///     "Too vague.",
///     "Name the planet.",
///     "<IMPROVED_VARIABLE>\nMars is red.\n</IMPROVED_VARIABLE>",
/// ]));
/// let optimizer: Arc<dyn Optimizer> = Arc::new(TextualGradientDescent::builder(engine.clone()).build());
///
/// let answer = Parameter::new("It is red.", "answer to a question");
/// let objective = TextLoss::new(engine, "Say what is vague.").evaluate(&answer.variable()).await?;
/// let gradients = backward(&objective).await?;
/// let proposal = optimizer.propose(&[answer.clone()], &objective, &gradients).await?;
/// proposal.apply()?;
/// assert_eq!(answer.text().as_ref(), "Mars is red.");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Optimizer: Send + Sync {
    /// Whether it works from feedback on the parameters themselves. If not, no backward pass is needed, and
    /// [`propose`](Self::propose) may be given gradients that are empty.
    fn needs_gradients(&self) -> bool {
        true
    }

    /// Largest number of candidate texts per parameter in a proposal. Default: 1.
    fn candidates(&self) -> usize {
        1
    }

    /// New texts for parameters that `objective` depends on. Assigns nothing.
    ///
    /// # Errors
    /// If nothing could be proposed for any of them.
    async fn propose(
        &self,
        parameters: &[Parameter],
        objective: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, Error>;

    /// Tells it what became of a proposal, for optimizers that learn from it.
    fn report(&self, proposal: &Proposal, outcome: ProposalOutcome) {
        let _ = (proposal, outcome);
    }

    /// What it remembers, so that a later run can continue; null if it remembers nothing.
    fn state_dict(&self) -> Json {
        Json::Null
    }

    /// Takes up what [`state_dict`](Self::state_dict) gave, for these parameters in the same order.
    ///
    /// # Errors
    /// If it is not the state of such an optimizer; it is then left as it was.
    fn load_state_dict(&self, parameters: &[Parameter], state: &Json) -> Result<(), Error> {
        let _ = parameters;
        match state {
            Json::Null => Ok(()),
            other => Err(Error::State {
                expected: "null, for this optimizer remembers nothing".to_owned(),
                got: other.to_string(),
            }),
        }
    }
}

impl fmt::Debug for dyn Optimizer + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Optimizer")
    }
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProposalOutcome {
    /// Whether its texts were kept.
    pub accepted: bool,
    /// What they scored, if that was measured.
    pub score: Option<Score>,
}

#[async_trait]
impl<O: Optimizer + ?Sized> Optimizer for Arc<O> {
    fn needs_gradients(&self) -> bool {
        (**self).needs_gradients()
    }

    fn candidates(&self) -> usize {
        (**self).candidates()
    }

    async fn propose(
        &self,
        parameters: &[Parameter],
        objective: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        (**self).propose(parameters, objective, gradients).await
    }

    fn report(&self, proposal: &Proposal, outcome: ProposalOutcome) {
        (**self).report(proposal, outcome);
    }

    fn state_dict(&self) -> Json {
        (**self).state_dict()
    }

    fn load_state_dict(&self, parameters: &[Parameter], state: &Json) -> Result<(), Error> {
        (**self).load_state_dict(parameters, state)
    }
}
