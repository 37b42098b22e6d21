//! Objectives: evaluations in words by a model, and scores.

mod compose;
mod contrastive;
mod judge;
mod listwise;
mod multi_field;
mod question;
mod score;
mod text;
mod weighted;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use auto_impl::auto_impl;
use serde_json::Value as Json;
use textgrad_core::{Error, Feedback, Inputs, Output, Score, Seed, Variable};

pub use self::compose::{AllOf, FirstFailing, all_of, all_passed, first_failing};
pub use self::contrastive::ContrastiveLoss;
pub use self::listwise::ListwiseLoss;
pub use self::multi_field::{MultiFieldLoss, MultiFieldOver};
pub use self::question::{ImageQaLoss, MultipleChoiceLoss};
pub use self::score::ScoreLoss;
pub use self::text::TextLoss;
pub use self::weighted::{WeightedSum, weighted_sum, weighted_sum_of, weighted_sum_worded};
use crate::prompts::rendered;
use crate::score::Example;

/// An objective over one text.
///
/// What it makes is a variable like any other: a backward pass may begin there, and it has a
/// [score](Variable::score) if the objective has a value.
///
/// The objectives of this crate have an `evaluate` of their own, which takes a `Parameter`, too. A `dyn Loss` takes its
/// [`variable`](textgrad_core::Parameter::variable).
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
#[auto_impl(Arc)]
pub trait Loss: Send + Sync {
    /// Evaluates a text.
    ///
    /// # Errors
    /// Whatever went wrong, as [`Error::Forward`] with the op's name.
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error>;

    /// Evaluates a prediction for an example of a data set, with the seed of its position. Default: as
    /// [`evaluate`](Loss::evaluate), the same for every example.
    ///
    /// # Errors
    /// As [`evaluate`](Loss::evaluate).
    async fn evaluate_example(
        &self,
        prediction: &Variable,
        example: &Example,
        seed: Seed,
    ) -> Result<Variable, Error> {
        let _ = (example, seed);
        self.evaluate(prediction).await
    }

    /// Its settings beside engines, as JSON, which a resumed training must share: the words of an instruction, the name
    /// of a scorer. Default: null, nothing is compared.
    fn settings(&self) -> Json {
        Json::Null
    }

    /// The objective as a shared one of any kind, as compositions take their parts.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::testing::ScriptedEngine;
    /// use textgrad_ops::check::Length;
    /// use textgrad_ops::{Loss, ScoreLoss, TextLoss, weighted_sum};
    ///
    /// let short = ScoreLoss::check(Length::words(..=3)?).shared();
    /// let style = TextLoss::new(Arc::new(ScriptedEngine::default()), "Judge the style.").shared();
    /// let loss = weighted_sum([(0.25, short), (0.75, style)])?;
    /// # let _ = loss;
    /// # Ok::<(), textgrad_ops::Error>(())
    /// ```
    #[auto_impl(keep_default_for(Arc))]
    fn shared(self) -> Arc<dyn Loss>
    where
        Self: Sized + 'static,
    {
        Arc::new(self)
    }
}

textgrad_core::debug_by!(dyn Loss);

macro_rules! loss {
    ($($loss:ident),*) => {$(
        #[async_trait]
        impl Loss for $loss {
            async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
                self.evaluate(text).await
            }

            fn settings(&self) -> Json {
                self.own_settings()
            }
        }
    )*};
}
loss!(
    AllOf,
    ContrastiveLoss,
    FirstFailing,
    ImageQaLoss,
    ListwiseLoss,
    MultiFieldOver,
    MultipleChoiceLoss,
    TextLoss,
    WeightedSum
);

/// An objective made of a function; see [`loss_fn`].
#[derive(Clone)]
pub struct LossFn<F>(F);

/// Makes a [`Loss`] of an async function from a text to its evaluation.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::Variable;
/// use textgrad_ops::{LlmCall, Loss, TextLoss, loss_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["A dog in a park.", "The summary is too short."]));
/// let summarise = LlmCall::builder(engine.clone()).build();
/// let judge = TextLoss::new(engine, "Judge the summary.");
/// // A prompt is as good as what comes of it.
/// let loss = loss_fn(move |prompt: Variable| {
///     let (summarise, judge) = (summarise.clone(), judge.clone());
///     async move { judge.evaluate(&summarise.ask(&prompt).one().await?).await }
/// });
/// let prompt = Variable::differentiable("Summarise the story.", "prompt");
/// assert_eq!(loss.evaluate(&prompt).await?.text(), Some("The summary is too short."));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub fn loss_fn<F, Fut>(function: F) -> LossFn<F>
where
    F: Fn(Variable) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    LossFn(function)
}

impl<F, Fut> LossFn<F>
where
    F: Fn(Variable) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    /// Evaluates a text.
    ///
    /// # Errors
    /// That of the function.
    pub async fn evaluate(&self, text: impl Into<Variable>) -> Result<Variable, Error> {
        (self.0)(text.into()).await
    }
}

#[async_trait]
impl<F, Fut> Loss for LossFn<F>
where
    F: Fn(Variable) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        self.evaluate(text).await
    }
}

textgrad_core::debug_by!(LossFn<F> {});

/// An objective made of a function of examples; see [`example_loss_fn`].
#[derive(Clone)]
pub struct ExampleLossFn<F>(F);

/// Makes a [`Loss`] of an async function of a prediction, an example, and the seed of its position. A text without an
/// example is evaluated with an empty one.
pub fn example_loss_fn<F, Fut>(function: F) -> ExampleLossFn<F>
where
    F: Fn(Variable, Example, Seed) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    ExampleLossFn(function)
}

#[async_trait]
impl<F, Fut> Loss for ExampleLossFn<F>
where
    F: Fn(Variable, Example, Seed) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Variable, Error>> + Send,
{
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        (self.0)(text.clone(), Example::default(), Seed::new(0)).await
    }

    async fn evaluate_example(
        &self,
        prediction: &Variable,
        example: &Example,
        seed: Seed,
    ) -> Result<Variable, Error> {
        (self.0)(prediction.clone(), example.clone(), seed).await
    }
}

textgrad_core::debug_by!(ExampleLossFn<F> {});

/// Feedback in these words, as a call of this name in the graph. No model is asked.
async fn constant_feedback(
    name: &'static str,
    words: String,
    values: &[(&str, Variable)],
    template: Option<&Variable>,
) -> Result<Feedback, Error> {
    let words: Arc<str> = words.into();
    let render = move |_: &Inputs| Ok(Arc::clone(&words));
    let words = rendered(name, Feedback::ROLE, values, template, render).await?;
    Ok(Feedback::from_variable(words))
}

/// An output with a score, if it has one.
fn scored(output: Output, score: Option<Score>) -> Output {
    match score {
        Some(score) => output.with_score(score),
        None => output,
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
