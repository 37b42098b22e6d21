//! Objectives: evaluations in words by a model, and scores.

use std::fmt;
mod compose;
mod contrastive;
mod from_fn;
mod image_qa;
mod judge;
mod listwise;
mod multi_field;
mod multiple_choice;
mod score;
mod stated;
mod text;

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Error, Variable};

pub use self::compose::{
    AllOf, FirstFailing, WeightedSum, all_of, all_passed, first_failing, weighted_sum,
    weighted_sum_of,
};
pub use self::contrastive::ContrastiveLoss;
pub use self::from_fn::{LossFn, loss_fn};
pub use self::image_qa::ImageQaLoss;
pub use self::listwise::ListwiseLoss;
pub use self::multi_field::{MultiFieldLoss, MultiFieldOver};
pub use self::multiple_choice::MultipleChoiceLoss;
pub use self::score::ScoreLoss;
pub use self::text::TextLoss;

/// An objective over one text.
///
/// What it makes is a variable like any other: a backward pass may begin there, and it has a
/// [score](Variable::score) if the objective has a value.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::Variable;
/// use textgrad_ops::{Loss, TextLoss};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["It rhymes too little."]));
/// let loss: Arc<dyn Loss> = Arc::new(TextLoss::new(engine, "Judge the rhymes."));
/// let poem = Variable::differentiable("Roses are red.", "poem");
/// assert_eq!(loss.evaluate(&poem).await?.text(), Some("It rhymes too little."));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Loss: Send + Sync {
    /// Evaluates a text.
    ///
    /// # Errors
    /// Whatever went wrong, as [`Error::Forward`] with the op's name.
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error>;
}

impl fmt::Debug for dyn Loss + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loss")
    }
}

#[async_trait]
impl<L: Loss + ?Sized> Loss for Arc<L> {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        (**self).evaluate(text).await
    }
}

/// A number with at most four significant digits: more of them carry no meaning in a prompt, and cost tokens.
pub(crate) fn figure(number: f64) -> String {
    let rounded: f64 = format!("{number:.3e}").parse().unwrap_or(number);
    // `Debug` writes very large and very small numbers with an exponent; the sum takes the sign from a zero.
    let text = format!("{:?}", rounded + 0.0);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn few_digits() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (0.123_456, "0.1235"),
            (-12.3456, "-12.35"),
            (100_000.4, "100000"),
            (1.234_56e-9, "1.235e-9"),
            (1e300, "1e300"),
            (2.0 / 3.0 * 100.0, "66.67"),
        ] {
            assert_eq!(figure(number), text);
        }
    }
}
