//! Putting texts together: [`sum`], and [`aggregate`], which also merges the feedback that comes back.

mod pass;
mod reduce;

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Op, OpFailure, Output, Reduce, Variable, apply_one,
};

pub(crate) use self::pass::through;
pub use self::reduce::LlmReduce;

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
/// let (a, b) = (Variable::leaf("first", "loss"), Variable::leaf("second", "loss"));
/// let total = sum([&a, &b]).await?;
/// assert_eq!(total.text(), Some("first\nsecond"));
/// let gradients = backward(&total).await?;
/// assert!(matches!(gradients.get(&a), [Gradient::Objective]));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub async fn sum<'a>(terms: impl IntoIterator<Item = &'a Variable>) -> Result<Variable, Error> {
    join("sum", terms, None).await
}

/// The sum of texts, where all feedback that passes through it is merged by `reduction` at every variable
/// that more than one of its terms depends on.
///
/// # Errors
/// Those of [`sum`].
pub async fn aggregate<'a>(
    terms: impl IntoIterator<Item = &'a Variable>,
    reduction: Arc<dyn Reduce>,
) -> Result<Variable, Error> {
    join("aggregate", terms, Some(reduction)).await
}

async fn join<'a>(
    name: &'static str,
    terms: impl IntoIterator<Item = &'a Variable>,
    reduction: Option<Arc<dyn Reduce>>,
) -> Result<Variable, Error> {
    let inputs = Inputs::new(terms.into_iter().map(|term| ("term", term.clone())));
    apply_one(Arc::new(Join { name, reduction }), inputs).await
}

struct Join {
    name: &'static str,
    reduction: Option<Arc<dyn Reduce>>,
}

#[async_trait]
impl Op for Join {
    fn name(&self) -> &str {
        self.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let texts = inputs.texts()?;
        if texts.is_empty() {
            return Err(Error::op(format!("expected at least one text for the {}", self.name)));
        }
        let mut roles: Vec<&str> = inputs.iter().map(|input| &**input.variable().role()).collect();
        roles.dedup();
        let role = format!("{} of: {}", self.name, roles.join("; "));
        Ok(vec![Output::new(texts.join("\n"), role)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let passed = through(cx.gradients(0)).await?;
        Ok(vec![passed; cx.inputs().len()])
    }

    fn reduction(&self) -> Option<Arc<dyn Reduce>> {
        self.reduction.clone()
    }
}
