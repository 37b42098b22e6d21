//! Programs to train, and losses of their outputs.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;
use textgrad_core::{Error, Module, Seed, Variable};

use crate::loss::{Loss, ScoreLoss};
use crate::score::Example;

/// A program whose parameters are trained: it makes a prediction of an example.
///
/// # Examples
/// ```
/// use textgrad_core::{Error, Member, Module, Parameter, Seed, Variable};
/// use textgrad_ops::LlmCall;
/// use textgrad_ops::score::Example;
/// use textgrad_ops::train::{Program};
///
/// struct Solver { system: Parameter, llm: LlmCall }
///
/// impl Module for Solver {
///     fn members(&self) -> Vec<(&str, Member<'_>)> {
///         vec![("system", (&self.system).into())]
///     }
/// }
///
/// #[async_trait::async_trait]
/// impl Program for Solver {
///     async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error> {
///         let question = Variable::constant(example.text("question")?, "question");
///         self.llm.ask(&question).system(&self.system.variable()).seed(seed).one().await
///     }
/// }
/// ```
#[async_trait]
pub trait Program: Module {
    /// Makes a prediction. The seed is that of the place: of the example in its minibatch, or in the set
    /// that is evaluated.
    ///
    /// # Errors
    /// If there is no prediction; it is reported, and other examples go on.
    async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error>;
}

impl fmt::Debug for dyn Program + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

/// The objective of one example.
#[async_trait]
pub trait ExampleLoss: Send + Sync {
    /// Evaluates a prediction. A backward pass begins at what it returns.
    ///
    /// # Errors
    /// Whatever went wrong; it is reported, and other examples go on.
    async fn evaluate(
        &self,
        prediction: &Variable,
        example: &Example,
        seed: Seed,
    ) -> Result<Variable, Error>;
}

impl fmt::Debug for dyn ExampleLoss + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExampleLoss")
    }
}

/// An objective that is the same for every example.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_ops::TextLoss;
/// use textgrad_ops::train::{EveryExample, ExampleLoss};
///
/// let engine = Arc::new(ScriptedEngine::new([""; 0]));
/// let loss: Arc<dyn ExampleLoss> = Arc::new(EveryExample(TextLoss::new(engine, "Say what is unclear.")));
/// # let _ = loss;
/// ```
#[derive(Debug, Clone)]
pub struct EveryExample<L>(pub L);

#[async_trait]
impl<L: Loss> ExampleLoss for EveryExample<L> {
    async fn evaluate(
        &self,
        prediction: &Variable,
        _: &Example,
        _: Seed,
    ) -> Result<Variable, Error> {
        self.0.evaluate(prediction).await
    }
}

#[async_trait]
impl ExampleLoss for ScoreLoss {
    async fn evaluate(
        &self,
        prediction: &Variable,
        example: &Example,
        _: Seed,
    ) -> Result<Variable, Error> {
        self.evaluate_for(prediction, example).await
    }
}

/// An objective made of an async function; see [`example_loss_fn`].
pub struct ExampleLossFn<F>(F);

/// Makes an [`ExampleLoss`] of an async function of the prediction, the example and the seed of the place.
pub fn example_loss_fn<F, Fut>(function: F) -> ExampleLossFn<F>
where
    F: Fn(Variable, Example, Seed) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    ExampleLossFn(function)
}

#[async_trait]
impl<F, Fut> ExampleLoss for ExampleLossFn<F>
where
    F: Fn(Variable, Example, Seed) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    async fn evaluate(
        &self,
        prediction: &Variable,
        example: &Example,
        seed: Seed,
    ) -> Result<Variable, Error> {
        (self.0)(prediction.clone(), example.clone(), seed).await
    }
}

impl<F> fmt::Debug for ExampleLossFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExampleLossFn").finish_non_exhaustive()
    }
}
