//! Operations: what turns variables into variables, and feedback on the results into feedback on the inputs.

mod backward;
mod call;
mod concat;
mod failed;
mod inputs;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

pub(crate) use self::backward::BackwardCall;
pub use self::backward::{BackwardCx, Layout, OpFailure};
pub use self::call::{Call, apply, apply_one};
pub use self::concat::Concat;
pub use self::inputs::{Input, Inputs, Output};
use crate::engine::{Message, Request};
use crate::error::Error;
use crate::gradient::{Gradient, Reduce};

/// A differentiable operation on texts.
///
/// `forward` makes values of the inputs' values. `backward` is told what was said about the outputs and
/// answers what is to be said about the inputs. Both may call an [`Engine`](crate::Engine), or just compute.
///
/// Implement it for a type of your own, or make one of closures with [`op_fn`]; run it with [`apply`].
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{
///     BackwardCx, Error, Feedback, Gradient, Inputs, Op, OpFailure, Output, Variable, apply_one, async_trait,
/// };
///
/// /// Joins its inputs; feedback on the whole is feedback on each part.
/// struct Join;
///
/// #[async_trait]
/// impl Op for Join {
///     fn name(&self) -> &str {
///         "join"
///     }
///     async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
///         let texts: Vec<&str> = inputs.texts()?;
///         Ok(vec![Output::new(texts.join(" "), "joined text")])
///     }
///     async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
///         Ok(vec![Gradient::join(cx.gradients(0)); cx.inputs().len()])
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (a, b) = (Variable::constant("hello", "greeting"), Variable::constant("world", "name"));
/// let joined = apply_one(Arc::new(Join), [("a", &a), ("b", &b)]).await?;
/// assert_eq!(joined.text(), Some("hello world"));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Op: Send + Sync {
    /// A short name for graphs, errors and traces.
    fn name(&self) -> &str;

    /// Makes the outputs. Their number may depend on the inputs.
    ///
    /// # Errors
    /// Whatever went wrong; the caller learns the op's name as well.
    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error>;

    /// What is to be said about each input: one entry per input, in order; `None` is "nothing to say", ends
    /// the pass on that edge, and costs nothing. Entries for inputs that
    /// [need no gradient](BackwardCx::needs) are ignored, so do not pay for them. Default: nothing to say.
    ///
    /// # Errors
    /// Whatever went wrong, with the gradients that were already paid for; see
    /// [`BackwardCx::for_each_input`].
    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }

    /// How gradients that have passed through this call are merged, at every variable that more than one of
    /// them reaches. `None`: they are kept as they are.
    fn reduction(&self) -> Option<Arc<dyn Reduce>> {
        None
    }

    /// How prompts quote a call with these inputs. Default: as a conversation if [`request`](Op::request) returns
    /// one, otherwise as a function called by the op's name.
    fn quote(&self, inputs: &Inputs) -> Quote {
        match self.request(inputs) {
            Some(request) => Quote::Conversation { request, examples: 0 },
            None => Quote::function(self.name()),
        }
    }

    /// The request that a call with these inputs sent to an engine, for people who look at the graph: its
    /// first, where it asked several times. It is made anew from what the op keeps, so that a graph nobody
    /// looks at holds no copies. `None`: it asked no engine.
    fn request(&self, inputs: &Inputs) -> Option<Request> {
        let _ = inputs;
        None
    }

    /// The position of the input that an output is a new version of, for people who look at the graph. `None`: the
    /// output is a text of its own.
    fn rewrites(&self, output: usize) -> Option<usize> {
        let _ = output;
        None
    }

    /// The conversation that an output was read from, up to and with the model's turn, for requests that
    /// [continue](Layout::Chained) it. `None`: there is none, or it was not kept.
    fn dialogue(&self, output: usize) -> Option<Vec<Message>> {
        let _ = output;
        None
    }
}

crate::debug_by!(dyn Op, name);

/// How prompts quote a call: the part of the quotation that the call's inputs and output do not hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "one per request for feedback, never kept")]
pub enum Quote {
    /// A call of a language model.
    Conversation {
        /// The request. Its last message is the prompt.
        request: Request,
        /// How many pairs of messages after the system message are in-context examples.
        examples: usize,
    },
    /// A call of a function.
    Function {
        /// The purpose of the function, in words.
        purpose: Arc<str>,
    },
}

impl Quote {
    /// A call of a function with this purpose.
    pub fn function(purpose: impl Into<Arc<str>>) -> Self {
        Self::Function { purpose: purpose.into() }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op_is_object_safe_and_shareable() {
        fn assert_send_sync<T: Send + Sync + ?Sized>() {}
        assert_send_sync::<dyn Op>();
        assert_send_sync::<Call>();
    }
}
