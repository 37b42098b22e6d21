//! Evaluators: how good a prediction is for an example.

mod command;
mod function;
mod judge;
mod letter;
mod loss;
mod math_vista;
mod normalize;
mod number;
mod text;

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Error, Score};

pub use self::command::{CommandEvaluator, CommandEvaluatorBuilder};
pub use self::function::{EvaluatorFn, evaluator_fn};
pub use self::judge::{LlmJudge, LlmJudgeBuilder, Unreadable};
pub use self::letter::ChoiceLetter;
pub use self::loss::EvaluatorLoss;
pub use self::math_vista::MathVistaMatch;
pub use self::normalize::Normalization;
pub use self::number::NumericMatch;
pub use self::text::{Contains, ExactMatch};
use super::data::Example;

/// Says how good a prediction is for an example. More is better.
///
/// The verdict must depend on nothing but the prediction and the example, for it is remembered.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::train::{Evaluator, Example, NumericMatch};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let evaluator: Arc<dyn Evaluator> = Arc::new(NumericMatch::new());
/// let example = Example::new("1").with_expected("1200");
/// assert_eq!(evaluator.evaluate("So there are 1,200 nails.", &example).await?.passed(), Some(true));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Evaluator: Send + Sync {
    /// What it is called in reports; a run is not resumed with another evaluator.
    fn name(&self) -> &str;

    /// Evaluates a prediction.
    ///
    /// # Errors
    /// If there is no verdict, such as where the example lacks what the evaluator needs. A prediction that
    /// cannot be read is wrong, which is a verdict.
    async fn evaluate(&self, prediction: &str, example: &Example) -> Result<Score, Error>;
}

#[async_trait]
impl<E: Evaluator + ?Sized> Evaluator for Arc<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn evaluate(&self, prediction: &str, example: &Example) -> Result<Score, Error> {
        (**self).evaluate(prediction, example).await
    }
}
