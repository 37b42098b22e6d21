//! Putting texts together: [`sum`], [`concat`], and [`aggregate`], which also merges the feedback that comes
//! back.

mod reduce;

use std::sync::Arc;

use textgrad_core::{Concat, Error, Inputs, Reduce, Variable, apply_one};

pub use self::reduce::LlmReduce;

/// What stands between the terms of a sum.
const BELOW: &str = "\n";

/// The sum of texts: one below the other.
///
/// Backwards, what is said about the sum is said about every input, exactly once; if the sum is the
/// objective, so is each of its inputs. Constants get nothing.
///
/// # Errors
/// [`Error::Forward`] if an input holds an image, or if there is none.
///
/// # Examples
/// ```
/// use textgrad_core::{Gradient, Variable, backward};
/// use textgrad_ops::sum;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (a, b) = (Variable::differentiable("first", "loss"), Variable::differentiable("second", "loss"));
/// let total = sum([&a, &b]).await?;
/// assert_eq!(total.text(), Some("first\nsecond"));
/// let gradients = backward(&total).await?;
/// assert!(matches!(gradients.get(&a), [Gradient::Objective]));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub async fn sum<V: Into<Variable>>(terms: impl IntoIterator<Item = V>) -> Result<Variable, Error> {
    join(Concat::new("sum", BELOW), terms).await
}

/// Texts with a separator between them. All else is as in [`sum`].
///
/// Without a separator, two texts are one by `&a + &b`.
///
/// # Errors
/// Those of [`sum`].
///
/// # Examples
/// ```
/// use textgrad_core::Variable;
/// use textgrad_ops::concat;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let [rules, task] = ["Be brief.", "Why?"].map(|text| Variable::differentiable(text, "part of a prompt"));
/// let prompt = concat([&rules, &task], "\n---\n").await?;
/// assert_eq!(prompt.text(), Some("Be brief.\n---\nWhy?"));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub async fn concat<V: Into<Variable>>(
    texts: impl IntoIterator<Item = V>,
    separator: impl Into<Arc<str>>,
) -> Result<Variable, Error> {
    join(Concat::new("concat", separator), texts).await
}

/// The sum of texts, where all feedback that passes through it is merged by `reduction` at every variable
/// that more than one of its terms depends on: [`LlmReduce`] asks a model, and
/// [`Deduplicate`](textgrad_core::Deduplicate), [`KeepAll`](textgrad_core::KeepAll) and
/// [`reduce_fn`](textgrad_core::reduce_fn) do not. Of nested ones, the innermost merges first.
///
/// # Errors
/// Those of [`sum`].
pub async fn aggregate<V: Into<Variable>>(
    terms: impl IntoIterator<Item = V>,
    reduction: Arc<dyn Reduce>,
) -> Result<Variable, Error> {
    join(Concat::new("aggregate", BELOW).reduction(reduction), terms).await
}

async fn join<V: Into<Variable>>(
    op: Concat,
    terms: impl IntoIterator<Item = V>,
) -> Result<Variable, Error> {
    let inputs = Inputs::new(terms.into_iter().map(|term| ("term", term)));
    apply_one(Arc::new(op), inputs).await
}
