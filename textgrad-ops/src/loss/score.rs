//! Scorers as differentiable objectives.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use derive_setters::Setters;
use serde_json::{Value as Json, json};
use textgrad_core::{
    BackwardCx, Check, Engine, Error, Gradient, Inputs, Op, OpFailure, Output, Quote, Sampling,
    Score, Seed, Variable, apply_one,
};

use super::{Loss, constant_feedback, scored};
use crate::llm::FeedbackRequest;
use crate::prompts::Prompts;
use crate::score::{CheckScorer, CommandScorer, Example, Scorer, Verdict, is_right};

/// A [`Scorer`] as an objective: the evaluation is the report of its verdict, with the score.
///
/// Backwards, the feedback of the verdict, if it has one, is the gradient, and feedback on the evaluation is
/// passed on; no model is asked. With [`ScoreLoss::feedback_engine`] a model is shown the purpose of the scorer,
/// the text and the report, and writes the feedback.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Score, Variable, backward};
/// use textgrad_ops::ScoreLoss;
/// use textgrad_ops::check::Length;
/// use textgrad_ops::score::{Example, NumericMatch};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let loss = ScoreLoss::check(Length::words(..=3)?);
/// let headline = Variable::differentiable("Man bites dog in park", "headline");
/// let verdict = loss.evaluate(&headline).await?;
/// assert_eq!(verdict.text(), Some("it has 5 words, 2 too many"));
/// assert_eq!(verdict.score(), Some(Score::Passed(false)));
/// assert!(backward(&verdict).await?.text(&headline).contains("2 too many"));
///
/// let engine = Arc::new(ScriptedEngine::new(["Count every fruit, one by one."]));
/// let loss = ScoreLoss::new(NumericMatch::new())
///     .purpose("says whether the last number of the answer is right")
///     .feedback_engine(engine);
/// let answer = Variable::differentiable("There are 3 fruits.", "answer to a question");
/// let verdict = loss.evaluate_for(&answer, &Example::new("1").with_expected("4")).await?;
/// assert_eq!(backward(&verdict).await?.text(&answer), "Count every fruit, one by one.");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(generate = false)]
pub struct ScoreLoss {
    scorer: Arc<dyn Scorer>,
    purpose: Arc<str>,
    /// Replaces the role of the evaluation. Set after the purpose.
    #[setters(generate, into)]
    response_role: Arc<str>,
    /// The templates of requests for feedback.
    #[setters(generate, into)]
    prompts: Prompts,
    /// The engine that writes feedback. Default: none, so that the feedback of the verdict counts.
    #[setters(generate, strip_option)]
    feedback_engine: Option<Arc<dyn Engine>>,
    /// Sampling parameters of feedback; `n` is ignored.
    #[setters(generate)]
    feedback_sampling: Sampling,
    /// Shows the expected answer of the example to the model that writes feedback. Default: no, because feedback
    /// that quotes it can teach a prompt the answers of the training set.
    #[setters(generate)]
    show_expected: bool,
    /// Whether a score needs no feedback.
    is_good: fn(Score) -> bool,
}

impl ScoreLoss {
    /// The objective of this scorer.
    pub fn new(scorer: impl Scorer + 'static) -> Self {
        Self {
            purpose: scorer.purpose().into(),
            response_role: scorer.role().into(),
            scorer: Arc::new(scorer),
            prompts: Prompts::default(),
            feedback_engine: None,
            feedback_sampling: Sampling::default(),
            show_expected: false,
            is_good: |_| false,
        }
    }

    /// A check as an objective: [`CheckScorer`] without settings.
    pub fn check(check: impl Check + 'static) -> Self {
        Self::new(CheckScorer::new(check))
    }

    /// A program as an objective. If a model writes the feedback, it is not asked about a text that passed.
    #[must_use]
    pub fn command(command: CommandScorer) -> Self {
        let passed: fn(Score) -> bool = |score| score.passed() == Some(true);
        Self { is_good: passed, ..Self::new(command) }
    }

    /// Replaces the purpose of the scorer in words, as prompts quote it.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<Arc<str>>) -> Self {
        self.purpose = purpose.into();
        self.response_role = format!("verdict: {}", self.purpose).into();
        self
    }

    /// Asks for no feedback on a text that is right (it passed, or its score is at least 1), unless the
    /// evaluation has feedback itself. Default: no.
    #[must_use]
    pub fn errors_only(mut self, errors_only: bool) -> Self {
        self.is_good = if errors_only { is_right } else { |_| false };
        self
    }

    /// Evaluates a text without an example.
    ///
    /// # Errors
    /// [`Error::Forward`] with the error of the scorer, or if the text is an image.
    pub async fn evaluate(&self, text: impl Into<Variable>) -> Result<Variable, Error> {
        self.apply(vec![("text", text.into())], Example::new("")).await
    }

    /// Evaluates a prediction for an example.
    ///
    /// # Errors
    /// Those of [`ScoreLoss::evaluate`].
    pub async fn evaluate_for(
        &self,
        prediction: impl Into<Variable>,
        example: &Example,
    ) -> Result<Variable, Error> {
        let mut inputs = vec![("prediction", prediction.into())];
        if let (true, Some(expected)) = (self.show_expected, example.expected()) {
            inputs.push(("expected_answer", Variable::constant(expected, "expected answer")));
        }
        self.apply(inputs, example.clone()).await
    }

    async fn apply(
        &self,
        inputs: Vec<(&str, Variable)>,
        example: Example,
    ) -> Result<Variable, Error> {
        let op = ScoreOp { loss: self.clone(), example, verdict: OnceLock::new() };
        apply_one(Arc::new(op), inputs).await
    }
}

#[async_trait]
impl Loss for ScoreLoss {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        self.evaluate(text).await
    }

    async fn evaluate_example(
        &self,
        prediction: &Variable,
        example: &Example,
        _: Seed,
    ) -> Result<Variable, Error> {
        self.evaluate_for(prediction, example).await
    }

    fn settings(&self) -> Json {
        let (scorer, purpose) = (self.scorer.name(), &*self.purpose);
        json!({ "scorer": scorer, "purpose": purpose, "show_expected": self.show_expected })
    }
}

/// One evaluation, which keeps its verdict for the backward pass.
struct ScoreOp {
    loss: ScoreLoss,
    example: Example,
    verdict: OnceLock<Verdict>,
}

#[async_trait]
impl Op for ScoreOp {
    fn name(&self) -> &str {
        "score"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let text = match inputs.iter().next() {
            Some(input) => inputs.text(input.name())?,
            None => "",
        };
        let verdict = self.loss.scorer.score(text, &self.example).await?;
        let output = Output::new(verdict.report(), Arc::clone(&self.loss.response_role));
        let output = scored(output, verdict.score());
        self.verdict.get_or_init(|| verdict);
        Ok(vec![output])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let loss = &self.loss;
        let verdict = self.verdict.get();
        let Some(engine) = &loss.feedback_engine else {
            let feedback = verdict.map(Verdict::feedback).transpose()?.flatten();
            return cx.for_each_input(|position| stated(cx, position, feedback)).await;
        };
        let is_good = verdict.and_then(Verdict::score).is_some_and(loss.is_good);
        let has_feedback = cx.gradients(0).iter().any(|gradient| gradient.feedback().is_some());
        if is_good && !verdict.is_some_and(Verdict::has_feedback) && !has_feedback {
            return Ok(vec![None; cx.inputs().len()]);
        }
        let settings = FeedbackRequest {
            query: None,
            examples: Vec::new(),
            engine: Arc::clone(engine),
            prompts: loss.prompts.clone(),
            sampling: loss.feedback_sampling.clone().with_n(1),
        };
        settings.send(cx).await
    }

    fn quote(&self, _: &Inputs) -> Quote {
        Quote::function(Arc::clone(&self.loss.purpose))
    }
}

/// The feedback of a verdict on one of its inputs, and what was said about the verdict, if anything was.
async fn stated(
    cx: &BackwardCx,
    position: usize,
    feedback: Option<&str>,
) -> Result<Option<Gradient>, Error> {
    let Some(input) = cx.inputs().get(position) else { return Ok(None) };
    let mut gradients: Vec<Gradient> = Vec::new();
    if let Some(feedback) = feedback {
        let mut inputs = vec![("variable", input.variable().clone())];
        inputs.extend(cx.output_variable(0).map(|output| ("response", output.clone())));
        gradients
            .push(constant_feedback("violation", feedback.to_owned(), &inputs, None).await?.into());
    }
    let received = cx.gradients(0).iter().filter(|gradient| gradient.feedback().is_some());
    gradients.extend(received.cloned());
    let Some(Gradient::Feedback(feedback)) = Gradient::join(&gradients) else { return Ok(None) };
    Ok(Some(feedback.with_contexts(cx.context(0).map(Arc::new)).into()))
}
