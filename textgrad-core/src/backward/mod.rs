//! The backward pass: from an objective to feedback on every text that may change.

mod pass;
mod state;
mod tags;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use derive_setters::Setters;

use crate::engine::Engine;
use crate::error::{Error, describe};
use crate::gradient::Gradients;
use crate::graph::Graph;
use crate::op::{Call, Layout};
use crate::seed::Seed;
use crate::variable::Variable;

/// A backward pass that ended early: why, and what it had found by then.
///
/// A call that fails lets those that are already under way finish, for they are paid for; nothing new is
/// started. To stop at once, drop the pass. Neither `Display`, which has the causes, nor `Debug` shows the gradients.
#[derive(thiserror::Error)]
#[error("the backward pass ended early, with the gradients of {} variable(s): {}", .gradients.len(), describe(.error))]
pub struct BackwardError {
    /// What went wrong first, in the order of the graph.
    #[source]
    pub error: Error,
    /// Everything that was found before the pass ended.
    pub gradients: Gradients,
}

impl fmt::Debug for BackwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gradients = format_args!("of {} variable(s)", self.gradients.len());
        let mut shown = f.debug_struct("BackwardError");
        shown.field("error", &self.error).field("gradients", &gradients).finish()
    }
}

/// Keeps why the pass ended and drops the gradients that it had found, so that `?` works where they are of no
/// use. Whoever wants them looks at [`BackwardError::gradients`] first.
impl From<BackwardError> for Error {
    fn from(failure: BackwardError) -> Self {
        failure.error
    }
}

/// Runs a backward pass from `root` with the default settings; see [`Backward`].
///
/// # Errors
/// A [`BackwardError`] with the cause and what was found before it.
pub async fn backward(root: impl Into<Variable>) -> Result<Gradients, BackwardError> {
    Backward::new(root).run().await
}

/// A backward pass about to be run.
///
/// From the root, every call that leads to a variable that requires a gradient is asked once, when all that
/// use its outputs have been. Whatever is ready runs at the same time, so the pass takes as long as its
/// longest chain of calls, not as all of them together; limits on concurrency belong to the engine. The
/// result does not depend on which call returns first.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{
///     Backward, BackwardCx, Feedback, Gradient, Inputs, Layout, Output, Seed, Variable, apply_one, op_fn,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let judge = op_fn("judge", |_: Inputs| async { Ok(vec![Output::new("too long", "verdict")]) })
///     .with_backward(|_: BackwardCx| async { Ok(vec![Some(Gradient::from(Feedback::new("Shorten it.")))]) });
/// let text = Variable::differentiable("a long text", "summary");
/// let verdict = apply_one(Arc::new(judge), [("text", &text)]).await?;
///
/// let pass = Backward::new(&verdict).layout(Layout::Continued).seed(Seed::new(7));
/// let gradients = pass.run().await?;
/// assert_eq!(gradients.text(&text), "Shorten it.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(generate = false, strip_option)]
#[must_use = "a pass does nothing until it is run"]
pub struct Backward {
    root: Variable,
    /// Whether the words of the feedback are differentiable, so that a later pass goes through them: to the templates
    /// that they were asked for with, the texts that they are about, and the feedback that they are made of.
    /// Default: false.
    #[setters(generate)]
    create_graph: bool,
    wrt: Option<HashSet<Variable>>,
    /// Asks this engine for all feedback, instead of each op's own.
    #[setters(generate)]
    engine: Option<Arc<dyn Engine>>,
    /// How requests show the call that they are about; default: [`Layout::Quoted`].
    #[setters(generate)]
    layout: Layout,
    /// Gives every request of the pass a seed, derived from its position in the graph. Without this, requests carry
    /// no seed.
    #[setters(generate)]
    seed: Option<Seed>,
    /// Receives the events of the pass while it runs.
    #[setters(generate)]
    observer: Option<Arc<dyn Observer>>,
}

impl Backward {
    /// A pass from `root`.
    pub fn new(root: impl Into<Variable>) -> Self {
        let (root, layout) = (root.into(), Layout::default());
        let (create_graph, wrt) = (false, None);
        Self { root, create_graph, wrt, engine: None, layout, seed: None, observer: None }
    }

    /// Restricts the pass to what lies between these variables and the root: nothing else is asked about. They need not
    /// require a gradient, nor need what lies between. The pass goes neither through what is
    /// [stopped](Variable::stop_gradient) nor past an output that [requires no
    /// gradient](crate::Output::with_requires_grad). Variables that the root was not made of have no gradients.
    ///
    /// # Examples
    /// ```
    /// use textgrad_core::{Backward, Variable};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (task, rules) = (Variable::constant("Why?", "task"), Variable::differentiable("Be brief. ", "rules"));
    /// let prompt = (&rules + &task)?;
    /// let gradients = Backward::new(&prompt).wrt([&task]).run().await?;
    /// assert_eq!((gradients.get(&task).len(), gradients.get(&rules).len()), (1, 0));
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    pub fn wrt(mut self, variables: impl IntoIterator<Item = impl Into<Variable>>) -> Self {
        self.wrt = Some(variables.into_iter().map(Into::into).collect());
        self
    }

    /// The part of the graph that the pass goes through.
    fn graph(&self) -> Result<Graph, Error> {
        let root = &self.root;
        let role = root.role().to_string();
        let Some(wanted) = &self.wrt else {
            return match root.requires_grad() {
                true => Ok(Graph::trace_differentiable(root)),
                false => Err(Error::NothingRequiresGrad { role }),
            };
        };
        if wanted.is_empty() {
            return Err(Error::EmptyWrt { role });
        }
        let graph = Graph::trace_between(root, wanted);
        if root.is_open() && wanted.iter().any(|wanted| graph.contains(wanted)) {
            return Ok(graph);
        }
        let mut wrt: Vec<String> = wanted.iter().map(|wanted| wanted.role().to_string()).collect();
        wrt.sort_unstable();
        Err(Error::NothingInGraph { role, wrt })
    }

    /// Runs the pass. Dropping the future ends it and everything that it has under way.
    ///
    /// # Errors
    /// A [`BackwardError`] with what was found before: an op that failed or panicked; a root that depends
    /// on nothing that requires a gradient, or on none of the variables of [`wrt`](Self::wrt); a `wrt` that is empty.
    pub async fn run(self) -> Result<Gradients, BackwardError> {
        pass::run(self).await
    }
}

/// Something that happened in a backward pass.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackwardEvent<'a> {
    /// A call is asked what to say about its inputs.
    CallStarted {
        /// The call.
        call: &'a Call,
    },
    /// A call has answered.
    CallFinished {
        /// The call.
        call: &'a Call,
        /// For how many of its inputs it had something to say.
        gradients: usize,
    },
    /// What reached a variable is being merged.
    ReduceStarted {
        /// The variable.
        variable: &'a Variable,
        /// How many feedbacks are merged.
        feedback: usize,
    },
    /// Something went wrong; nothing new is started from here on.
    Failed {
        /// What.
        error: &'a Error,
    },
}

/// Receives the events of a backward pass. Called from within the pass: return quickly. A panic ends the pass with
/// [`Error::Panic`].
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &BackwardEvent<'_>);
}

crate::debug_by!(dyn Observer);

impl<F: Fn(&BackwardEvent<'_>) + Send + Sync> Observer for F {
    fn event(&self, event: &BackwardEvent<'_>) {
        self(event);
    }
}
