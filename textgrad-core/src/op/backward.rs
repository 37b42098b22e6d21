//! The context of an op's backward, and its failure.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use strum::Display;

use super::{Call, Inputs, Output};
use crate::engine::Engine;
use crate::error::Error;
use crate::gradient::{Context, Gradient};
use crate::seed::Seed;
use crate::variable::Variable;

/// How a request for feedback shows the call that it is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Layout {
    /// The forward conversation is quoted inside a fresh request.
    #[default]
    Quoted,
    /// The request continues the forward conversation turn by turn, so that a server with automatic prefix
    /// caching need not read it again.
    Continued,
    /// As [`Continued`](Self::Continued), over several steps: what is said about a text that an update wrote goes on
    /// in the [conversation](super::Op::dialogue) that wrote it. Each step sends all earlier ones again, so this
    /// pays only where cached text costs next to nothing.
    Chained,
}

impl Layout {
    /// Whether requests continue the conversation of the call that they are about.
    #[must_use]
    pub fn is_continued(self) -> bool {
        self != Self::Quoted
    }
}

/// A backward that failed, with the gradients that were paid for before it did.
///
/// Made from an [`Error`] by `?`; it then carries none. `Debug` shows their number.
pub struct OpFailure {
    /// What went wrong.
    pub error: Error,
    /// One entry per input, as a backward that succeeds returns; or empty.
    pub gradients: Vec<Option<Gradient>>,
}

impl fmt::Debug for OpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gradients = format_args!("{}", self.gradients.iter().flatten().count());
        let mut shown = f.debug_struct("OpFailure");
        shown.field("error", &self.error).field("gradients", &gradients).finish()
    }
}

impl<E: Into<Error>> From<E> for OpFailure {
    fn from(error: E) -> Self {
        Self { error: error.into(), gradients: Vec::new() }
    }
}

/// The input of an op's backward: the call, and the gradients of each of its outputs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BackwardCx(pub(crate) Arc<BackwardCall>);

/// What a [`BackwardCx`] shows.
#[derive(Debug)]
pub(crate) struct BackwardCall {
    pub(crate) call: Arc<Call>,
    pub(crate) gradients: Vec<Vec<Gradient>>,
    pub(crate) outputs: Vec<Option<Variable>>,
    /// Whether an input is part of the pass.
    pub(crate) needs: Vec<bool>,
    pub(crate) engine: Option<Arc<dyn Engine>>,
    pub(crate) layout: Layout,
    pub(crate) seed: Option<Seed>,
}

impl BackwardCx {
    /// The call.
    #[must_use]
    pub fn call(&self) -> &Arc<Call> {
        &self.0.call
    }

    /// The call as the context of feedback on its inputs that came through this output; `None` if there is no such
    /// output.
    #[must_use]
    pub fn context(&self, output: usize) -> Option<Context> {
        match self.output_variable(output) {
            Some(response) => Context::of(response),
            None => Context::new(&self.0.call, output),
        }
    }

    /// What went into the call.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        self.0.call.inputs()
    }

    /// What came out of the call: every output, whether anything was said about it or not.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        self.0.call.outputs()
    }

    /// An output as a variable of the graph; `None` if it has no part in this pass.
    #[must_use]
    pub fn output_variable(&self, output: usize) -> Option<&Variable> {
        self.0.outputs.get(output).and_then(Option::as_ref)
    }

    /// What was said about an output, in the order of the graph; empty if nothing was.
    #[must_use]
    pub fn gradients(&self, output: usize) -> &[Gradient] {
        self.0.gradients.get(output).map_or(&[], Vec::as_slice)
    }

    /// Whether feedback is wanted for an input: whether this edge of the graph is part of the pass.
    #[must_use]
    pub fn needs(&self, input: usize) -> bool {
        self.0.needs.get(input).copied().unwrap_or_default()
    }

    /// The engine of the pass, if it was given one, else the op's own.
    #[must_use]
    pub fn engine_or(&self, own: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::clone(self.0.engine.as_ref().unwrap_or(own))
    }

    /// How requests are to show the call.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.0.layout
    }

    /// The seed for the request about one input; `None` if the pass has no seed.
    #[must_use]
    pub fn seed(&self, input: usize) -> Option<Seed> {
        self.0.seed.map(|seed| seed.child("input", input as u64))
    }

    /// Asks `feedback` about every input that needs a gradient, all at the same time.
    ///
    /// # Errors
    /// The failure of the first input, in order, that had one, with what the others brought.
    ///
    /// # Examples
    /// ```
    /// # use textgrad_core::{BackwardCx, Feedback, Gradient, OpFailure};
    /// async fn backward(cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
    ///     cx.for_each_input(|input| async move { Ok(Some(Feedback::new(format!("fix input {input}")).into())) })
    ///         .await
    /// }
    /// ```
    pub async fn for_each_input<F, Fut>(
        &self,
        feedback: F,
    ) -> Result<Vec<Option<Gradient>>, OpFailure>
    where
        F: Fn(usize) -> Fut + Send,
        Fut: Future<Output = Result<Option<Gradient>, Error>> + Send,
    {
        let asked = (0..self.inputs().len()).map(|input| {
            let asked = self.needs(input).then(|| feedback(input));
            async move {
                match asked {
                    Some(answer) => answer.await,
                    None => Ok(None),
                }
            }
        });
        let mut gradients = Vec::new();
        let mut failure = None;
        for answer in join_all(asked).await {
            match answer {
                Ok(gradient) => gradients.push(gradient),
                Err(error) => {
                    gradients.push(None);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            None => Ok(gradients),
            Some(error) => Err(OpFailure { error, gradients }),
        }
    }
}
