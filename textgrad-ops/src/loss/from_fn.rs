//! An objective made of a function.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;
use textgrad_core::{Error, Variable};

use super::Loss;

/// An objective made of a function; see [`loss_fn`].
#[derive(Clone)]
pub struct LossFn<F>(F);

/// Makes a [`Loss`] of an async function from a text to its evaluation.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::Variable;
/// use textgrad_ops::{LlmCall, Loss, TextLoss, loss_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["A dog in a park.", "The summary is too short."]));
/// let summarise = LlmCall::builder(engine.clone()).build();
/// let judge = TextLoss::new(engine, "Judge the summary.");
/// // A prompt is as good as what comes of it.
/// let loss = loss_fn(move |prompt: Variable| {
///     let (summarise, judge) = (summarise.clone(), judge.clone());
///     async move { judge.evaluate(&summarise.ask(&prompt).one().await?).await }
/// });
/// let prompt = Variable::differentiable("Summarise the story.", "prompt");
/// assert_eq!(loss.evaluate(&prompt).await?.text(), Some("The summary is too short."));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub fn loss_fn<F, Fut>(function: F) -> LossFn<F>
where
    F: Fn(Variable) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    LossFn(function)
}

#[async_trait]
impl<F, Fut> Loss for LossFn<F>
where
    F: Fn(Variable) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        (self.0)(text.clone()).await
    }
}

impl<F> fmt::Debug for LossFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LossFn").finish_non_exhaustive()
    }
}
