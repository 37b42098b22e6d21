//! An op from closures.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::inputs::{Inputs, Output};
use super::{BackwardCx, Op, OpFailure};
use crate::error::Error;
use crate::gradient::Gradient;

type Forward = dyn Fn(Inputs) -> BoxFuture<'static, Result<Vec<Output>, Error>> + Send + Sync;
type Backward = dyn Fn(BackwardCx) -> BoxFuture<'static, Result<Vec<Option<Gradient>>, OpFailure>>
    + Send
    + Sync;

/// An op made of closures; see [`op_fn`].
pub struct OpFn {
    name: String,
    forward: Box<Forward>,
    backward: Option<Box<Backward>>,
}

/// Makes an op of an async function.
///
/// Without [`OpFn::with_backward`] it has nothing to say about its inputs: a backward pass ends there.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{
///     BackwardCx, Feedback, Gradient, Inputs, Output, Variable, apply_one, backward, op_fn,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let length = op_fn("length check", |inputs: Inputs| async move {
///     let words = inputs.text("text")?.split_whitespace().count();
///     Ok(vec![Output::new(words.to_string(), "number of words")])
/// })
/// .with_backward(|cx: BackwardCx| async move {
///     let too_long = cx.outputs()[0].value().as_text() > Some("3");
///     let feedback = too_long.then(|| Gradient::from(Feedback::new("Use at most three words.")));
///     Ok(vec![feedback])
/// });
/// let text = Variable::differentiable("one two three four", "headline");
/// let words = apply_one(Arc::new(length), [("text", &text)]).await?;
/// let gradients = backward(&words).await?;
/// assert_eq!(gradients.text(&text), "Use at most three words.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub fn op_fn<F, Fut>(name: impl Into<String>, forward: F) -> OpFn
where
    F: Fn(Inputs) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<Output>, Error>> + Send + 'static,
{
    OpFn {
        name: name.into(),
        forward: Box::new(move |inputs| Box::pin(forward(inputs))),
        backward: None,
    }
}

impl OpFn {
    /// Says what the op answers to feedback on its outputs.
    #[must_use]
    pub fn with_backward<F, Fut>(mut self, backward: F) -> Self
    where
        F: Fn(BackwardCx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<Option<Gradient>>, OpFailure>> + Send + 'static,
    {
        self.backward = Some(Box::new(move |cx| Box::pin(backward(cx))));
        self
    }
}

impl fmt::Debug for OpFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpFn")
            .field("name", &self.name)
            .field("differentiable", &self.backward.is_some())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Op for OpFn {
    fn name(&self) -> &str {
        &self.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        (self.forward)(inputs.clone()).await
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        match &self.backward {
            Some(backward) => backward(cx.clone()).await,
            None => Ok(vec![None; cx.inputs().len()]),
        }
    }
}
