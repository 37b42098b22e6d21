//! Merging several gradients on one variable.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Context, Feedback};
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

crate::debug_by!(dyn Reduce, name);

/// The input of a [`Reduce`].
#[derive(Debug, Clone)]
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

/// A reduction that keeps all feedback as it is.
///
/// For an op that asks for a reduction and should have none. A reduction further outside still merges what passed
/// through the op.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepAll;

#[async_trait]
impl Reduce for KeepAll {
    fn name(&self) -> &str {
        "keep all"
    }

    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error> {
        Ok(cx.feedback().to_vec())
    }
}

/// A reduction that says the same thing once: of feedback in the same words, but for white space and case,
/// the first is kept, with the contexts of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deduplicate;

#[async_trait]
impl Reduce for Deduplicate {
    fn name(&self) -> &str {
        "deduplicate"
    }

    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error> {
        let mut groups: Vec<(&Feedback, Vec<Arc<Context>>)> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        for feedback in cx.feedback() {
            let position = *positions.entry(plain_words(feedback.text())).or_insert(groups.len());
            let contexts = feedback.contexts().iter().cloned();
            match groups.get_mut(position) {
                Some((_, all)) => all.extend(contexts),
                None => groups.push((feedback, contexts.collect())),
            }
        }
        let kept = groups.into_iter();
        Ok(kept.map(|(first, contexts)| first.clone().with_contexts(contexts)).collect())
    }
}

fn plain_words(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A reduction made of an async function; see [`reduce_fn`].
pub struct ReduceFn<F> {
    name: String,
    function: F,
}

/// Makes a [`Reduce`] of an async function.
///
/// # Examples
/// ```
/// use textgrad_core::{Reduce, ReduceCx, reduce_fn};
///
/// // Of all feedback, the shortest.
/// let shortest = reduce_fn("shortest", |cx: ReduceCx| async move {
///     let shortest = cx.feedback().iter().min_by_key(|feedback| feedback.text().len());
///     Ok(shortest.cloned().into_iter().collect())
/// });
/// assert_eq!(shortest.name(), "shortest");
/// ```
pub fn reduce_fn<F, Fut>(name: impl Into<String>, function: F) -> ReduceFn<F>
where
    F: Fn(ReduceCx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Vec<Feedback>, Error>> + Send,
{
    ReduceFn { name: name.into(), function }
}

#[async_trait]
impl<F, Fut> Reduce for ReduceFn<F>
where
    F: Fn(ReduceCx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Vec<Feedback>, Error>> + Send,
{
    fn name(&self) -> &str {
        &self.name
    }

    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error> {
        (self.function)(cx.clone()).await
    }
}

crate::debug_by!(ReduceFn<F> { name });
