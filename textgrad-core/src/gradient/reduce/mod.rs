//! Merging several gradients on one variable.

mod from_fn;
mod plain;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::from_fn::{ReduceFn, reduce_fn};
pub use self::plain::{Deduplicate, KeepAll};
use super::Feedback;
use crate::engine::Engine;
use crate::error::Error;
use crate::seed::Seed;
use crate::variable::Variable;

/// A way to merge the feedback that reached one variable through one aggregation.
///
/// It is asked only where two or more feedbacks meet. The contexts of what it merges are kept by the pass:
/// those that it does not hand on are given to the first that it returns.
///
/// [`KeepAll`] and [`Deduplicate`] need no model; [`reduce_fn`] makes one of a function.
#[async_trait]
pub trait Reduce: Send + Sync {
    /// A short name for errors and traces.
    fn name(&self) -> &str;

    /// Merges the feedback in `cx`; none is "nothing to say".
    ///
    /// # Errors
    /// Whatever went wrong. The pass then ends, and what it had gathered is returned with the error.
    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error>;
}

/// What a [`Reduce`] is told.
#[derive(Clone)]
pub struct ReduceCx {
    pub(crate) variable: Variable,
    pub(crate) feedback: Vec<Feedback>,
    pub(crate) seed: Option<Seed>,
    pub(crate) engine: Option<Arc<dyn Engine>>,
}

impl ReduceCx {
    /// The variable that the feedback is about.
    #[must_use]
    pub fn variable(&self) -> &Variable {
        &self.variable
    }

    /// The feedback to merge, two or more, in the order of the graph.
    #[must_use]
    pub fn feedback(&self) -> &[Feedback] {
        &self.feedback
    }

    /// The seed for a request made here; `None` if the pass has no seed.
    #[must_use]
    pub fn seed(&self) -> Option<Seed> {
        self.seed
    }

    /// The engine of the pass, if it was given one, else the reduction's own.
    #[must_use]
    pub fn engine_or(&self, own: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::clone(self.engine.as_ref().unwrap_or(own))
    }
}

impl std::fmt::Debug for ReduceCx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReduceCx")
            .field("variable", &self.variable)
            .field("feedback", &self.feedback)
            .finish_non_exhaustive()
    }
}
