//! An evaluator from a function.

use std::fmt;

use async_trait::async_trait;
use textgrad_core::{Error, Score};

use super::{Evaluator, Example};

/// An evaluator made of a function; see [`evaluator_fn`].
#[derive(Clone)]
pub struct EvaluatorFn<F> {
    name: String,
    function: F,
}

/// Makes an [`Evaluator`] of a function that computes at once. For work that waits, implement the trait.
///
/// # Examples
/// ```
/// use textgrad_ops::train::{Evaluator, Example, evaluator_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let brevity = evaluator_fn("brevity", |prediction, _| Ok((1.0 / prediction.len().max(1) as f64).into()));
/// assert_eq!(brevity.evaluate("four", &Example::new("1")).await?.as_f64(), 0.25);
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub fn evaluator_fn<F>(name: impl Into<String>, function: F) -> EvaluatorFn<F>
where
    F: Fn(&str, &Example) -> Result<Score, Error> + Send + Sync,
{
    EvaluatorFn { name: name.into(), function }
}

#[async_trait]
impl<F> Evaluator for EvaluatorFn<F>
where
    F: Fn(&str, &Example) -> Result<Score, Error> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    async fn evaluate(&self, prediction: &str, example: &Example) -> Result<Score, Error> {
        (self.function)(prediction, example)
    }
}

impl<F> fmt::Debug for EvaluatorFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluatorFn").field("name", &self.name).finish_non_exhaustive()
    }
}
