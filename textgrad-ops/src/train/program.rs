//! Programs to train.

use async_trait::async_trait;
use textgrad_core::{Error, Module, Seed, Variable};

use crate::score::Example;

/// A program whose parameters are trained: it makes a prediction of an example.
///
/// # Examples
/// ```
/// use textgrad_core::{Error, Members, Module, Parameter, Seed, Variable, async_trait};
/// use textgrad_ops::LlmCall;
/// use textgrad_ops::score::Example;
/// use textgrad_ops::train::{Program};
///
/// struct Solver { system: Parameter, llm: LlmCall }
///
/// impl Module for Solver {
///     fn members(&self) -> Members<'_> {
///         vec![("system".into(), (&self.system).into())]
///     }
/// }
///
/// #[async_trait]
/// impl Program for Solver {
///     async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error> {
///         let question = Variable::constant(example.text("question")?, "question");
///         self.llm.ask(&question).system(&self.system).seed(seed).one().await
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

textgrad_core::debug_by!(dyn Program);
