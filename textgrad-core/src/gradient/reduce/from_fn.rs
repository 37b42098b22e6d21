//! A reduction from a closure.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use super::{Reduce, ReduceCx};
use crate::error::Error;
use crate::gradient::Feedback;

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
/// // Of all that was said, the shortest.
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

impl<F> fmt::Debug for ReduceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReduceFn").field("name", &self.name).finish_non_exhaustive()
    }
}
