//! Weighted sums of objectives.

use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use serde_json::{Value as Json, json};
use textgrad_core::{
    BackwardCx, Error as CoreError, Feedback, Gradient, Inputs, Op, OpFailure, Output, Score,
    Variable, apply_one,
};

use super::compose::{evaluate_all, parts, passed, role, settings};
use super::{Loss, constant_feedback, figure, scored};
use crate::error::Error;
use crate::prompts::{PartContext, Prompts, WeightContext, WeightedSumContext};

const NAME: &str = "weighted sum";
/// The name of the call that says what a weight is, and of its input that holds the share, from 0 to 1.
const WEIGHT: &str = "weight";
const SHARE: &str = "share";
const SHARE_ROLE: &str = "share of the objective";

/// Objectives of different weight; see [`weighted_sum`].
#[derive(Debug, Clone, Setters)]
#[setters(generate = false)]
pub struct WeightedSum {
    losses: Vec<Arc<dyn Loss>>,
    weights: Arc<[f64]>,
    /// The wording of the text and of the weights.
    #[setters(generate, into)]
    prompts: Prompts,
}

/// An objective that is the sum of these, each times its weight; they are evaluated at the same time.
///
/// The text lists each with its weight. The score is the sum of weight times score if every part has a score
/// (one that passed is 1, one that failed 0), else there is none. Backwards, each part but those that passed
/// is asked for feedback: as the objective itself where all weights are equal, else with its weight in words
/// (template `weight_feedback`). A weighted sum within another tells its parts their shares of the outermost,
/// in place of what it was told itself.
///
/// # Errors
/// [`Error::Weight`] if a weight is not finite or not above 0, [`Error::NoParts`] without an objective.
///
/// # Examples
/// ```
/// use textgrad_core::Variable;
/// use textgrad_ops::check::{Length, MustContain};
/// use textgrad_ops::{ScoreLoss, Loss, weighted_sum};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let short = ScoreLoss::check(Length::words(..=3)?).shared();
/// let named = ScoreLoss::check(MustContain::new(["{name}"])).shared();
/// let loss = weighted_sum([(0.25, short), (0.75, named)])?;
/// let verdict = loss.evaluate(&Variable::differentiable("Dear reader", "greeting")).await?;
/// assert_eq!(verdict.score().map(|score| score.as_f64()), Some(0.25));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
pub fn weighted_sum(
    parts: impl IntoIterator<Item = (f64, Arc<dyn Loss>)>,
) -> Result<WeightedSum, Error> {
    let (weights, losses): (Vec<f64>, Vec<_>) = parts.into_iter().unzip();
    check(&weights)?;
    Ok(WeightedSum { losses, weights: weights.into(), prompts: Prompts::default() })
}

/// [`weighted_sum`] over texts that were evaluated already.
///
/// # Errors
/// Those of [`weighted_sum`], and [`CoreError::Forward`] if an evaluation is an image.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Variable, backward};
/// use textgrad_ops::{TextLoss, weighted_sum_of};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["dull", "wrong", "be vivid", "be right"]));
/// let text = Variable::differentiable("The sky is green.", "text");
/// let style = TextLoss::new(engine.clone(), "Judge the style.").evaluate(&text).await?;
/// let facts = TextLoss::new(engine.clone(), "Judge the facts.").evaluate(&text).await?;
/// let total = weighted_sum_of([(1.0, &style), (3.0, &facts)]).await?;
/// assert_eq!(backward(&total).await?.text(&text), "be vivid\nbe right");
/// assert!(engine.requests()[3].messages[1].text().contains("75 %"));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
pub async fn weighted_sum_of<V: Into<Variable>>(
    evaluations: impl IntoIterator<Item = (f64, V)>,
) -> Result<Variable, Error> {
    weighted_sum_worded(evaluations, Prompts::default()).await
}

/// [`weighted_sum_of`] with other prompts than the default ones.
///
/// # Errors
/// Those of [`weighted_sum_of`].
pub async fn weighted_sum_worded<V: Into<Variable>>(
    evaluations: impl IntoIterator<Item = (f64, V)>,
    prompts: impl Into<Prompts>,
) -> Result<Variable, Error> {
    let (weights, evaluations): (Vec<f64>, Vec<V>) = evaluations.into_iter().unzip();
    check(&weights)?;
    let op = WeightedSumOp { weights: weights.into(), prompts: prompts.into() };
    Ok(apply_one(Arc::new(op), parts(evaluations.into_iter().map(Into::into))).await?)
}

fn check(weights: &[f64]) -> Result<(), Error> {
    if weights.is_empty() {
        return Err(Error::NoParts { what: "weighted_sum" });
    }
    let sound = |weight: f64| weight.is_finite() && weight > 0.0;
    match (1..).zip(weights).find(|(_, weight)| !sound(**weight)) {
        Some((part, weight)) => Err(Error::Weight { part, weight: *weight }),
        None => Ok(()),
    }
}

impl WeightedSum {
    pub(super) fn own_settings(&self) -> Json {
        json!({ "weights": &*self.weights, "parts": settings(&self.losses) })
    }

    /// Evaluates a text.
    ///
    /// # Errors
    /// [`CoreError::Forward`] with the failure of the first objective that had one.
    pub async fn evaluate(&self, text: impl Into<Variable>) -> Result<Variable, CoreError> {
        let evaluations = evaluate_all(&self.losses, &text.into()).await?;
        let (weights, prompts) = (Arc::clone(&self.weights), self.prompts.clone());
        apply_one(Arc::new(WeightedSumOp { weights, prompts }), parts(evaluations)).await
    }
}

/// Has as many inputs as it has weights.
struct WeightedSumOp {
    weights: Arc<[f64]>,
    prompts: Prompts,
}

impl WeightedSumOp {
    fn equal(&self) -> bool {
        self.weights.windows(2).all(|pair| pair.first() == pair.last())
    }

    /// The share that a weight is of all.
    fn share(&self, weight: f64) -> f64 {
        // The largest first: weights may be so large that their sum is not finite.
        let largest = self.weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let total: f64 = self.weights.iter().map(|weight| weight / largest).sum();
        weight / largest / total
    }

    fn in_words(&self, weight: f64, part: &Variable) -> WeightContext {
        let (weight, share) = (figure(weight), percent(self.share(weight)));
        let PartContext { text, role, score, failed } = PartContext::new(part);
        WeightContext { weight, share, within: None, text, role, score, failed }
    }

    async fn weigh(
        &self,
        part: &Variable,
        weight: f64,
        received: &Received,
    ) -> Result<Option<Gradient>, CoreError> {
        let own = self.share(weight);
        let share = own * received.share.unwrap_or(1.0);
        let context = WeightContext {
            within: received.share.map(percent),
            share: percent(share),
            ..self.in_words(weight, part)
        };
        let words = self.prompts.render("weight_feedback", &context)?;
        let values = [
            ("variable", part.clone()),
            (SHARE, Variable::constant(share.to_string(), SHARE_ROLE)),
        ];
        let template = self.prompts.variable("weight_feedback");
        let words = constant_feedback(WEIGHT, words, &values, template).await?;
        let mut gradients: Vec<Gradient> = vec![words.into()];
        gradients.extend(received.said.iter().cloned());
        Ok(Gradient::join(&gradients))
    }
}

/// What reached a weighted sum.
struct Received {
    /// Its share of the sum that it is a part of, if it is.
    share: Option<f64>,
    /// Everything else.
    said: Vec<Gradient>,
}

impl Received {
    fn of(gradients: &[Gradient]) -> Self {
        let mut received = Self { share: None, said: Vec::new() };
        for feedback in gradients.iter().filter_map(Gradient::feedback) {
            for part in feedback.parts() {
                match told_share(part) {
                    // A part of several sums counts in each.
                    Some(share) => {
                        received.share = Some(received.share.unwrap_or_default() + share)
                    }
                    None => {
                        let contexts = feedback.contexts().iter().cloned();
                        let said = Feedback::from_variable(part.clone()).with_contexts(contexts);
                        received.said.push(said.into());
                    }
                }
            }
        }
        received
    }
}

/// The share that the words of a weighted sum tell, which is one of the inputs of the call that made them.
fn told_share(words: &Variable) -> Option<f64> {
    let call = words.source()?.call();
    if call.op().name() != WEIGHT {
        return None;
    }
    call.inputs().find(SHARE)?.text()?.parse().ok()
}

/// Whether an evaluation is a weighted sum, which must know what it is a part of.
fn is_sum(evaluation: &Variable) -> bool {
    evaluation.source().is_some_and(|source| source.call().op().name() == NAME)
}

fn percent(share: f64) -> String {
    figure(100.0 * share)
}

#[async_trait]
impl Op for WeightedSumOp {
    fn name(&self) -> &str {
        NAME
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, CoreError> {
        inputs.texts()?;
        let listed = inputs.iter().zip(&*self.weights);
        let listed = listed.map(|(input, weight)| self.in_words(*weight, input.variable()));
        let context = WeightedSumContext { parts: listed.collect() };
        let text = self.prompts.render("weighted_sum", &context)?;
        let scores = inputs.iter().zip(&*self.weights);
        let scores = scores
            .map(|(input, weight)| Some(weight * input.variable().score()?.as_f64()))
            .collect::<Option<Vec<f64>>>();
        let score = scores.map(|scores| Score::Number(scores.into_iter().sum()));
        Ok(vec![scored(Output::new(text, role("weighted sum of", inputs)), score)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let received = Received::of(cx.gradients(0));
        let alike = self.equal() && received.share.is_none();
        let several = self.weights.len() > 1;
        let whole = Gradient::join(cx.gradients(0));
        let mut said = Vec::new();
        for (position, (input, weight)) in cx.inputs().iter().zip(&*self.weights).enumerate() {
            said.push(match passed(input.variable()) {
                Some(true) => None,
                _ if !cx.needs(position) => None,
                _ if alike && !(several && is_sum(input.variable())) => whole.clone(),
                _ => self.weigh(input.variable(), *weight, &received).await?,
            });
        }
        Ok(said)
    }
}
