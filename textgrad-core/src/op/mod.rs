//! Operations: what turns variables into variables, and feedback on the results into feedback on the inputs.

use std::fmt;
mod backward;
mod call;
mod concat;
mod failed;
mod from_fn;
mod inputs;
mod join;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::backward::{BackwardCx, Layout, OpFailure};
pub use self::call::{Call, apply, apply_one};
pub use self::concat::Concat;
pub use self::failed::{Failed, try_apply, try_apply_one};
pub use self::from_fn::{OpFn, op_fn};
pub use self::inputs::{Input, Inputs, Output};
use crate::engine::Request;
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
/// use async_trait::async_trait;
/// use textgrad_core::{
///     BackwardCx, Error, Feedback, Gradient, Inputs, Op, OpFailure, Output, Variable, apply_one,
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
    /// [need no gradient](BackwardCx::needs) are ignored, so do not pay for them.
    ///
    /// # Errors
    /// Whatever went wrong, with the gradients that were already paid for; see
    /// [`BackwardCx::for_each_input`].
    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure>;

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
}

impl fmt::Debug for dyn Op + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Op").field(&self.name()).finish()
    }
}

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
