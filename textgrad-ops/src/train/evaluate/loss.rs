//! A verdict as an objective.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, ContextSource, Engine, Error, Gradient, Inputs, Op, OpFailure, Output, Sampling,
    Score, Seed, Variable, apply_one,
};

use super::{Evaluator, Example};
use crate::llm::{FeedbackSettings, QuotedCall, request_feedback};
use crate::prompts::Prompts;
use crate::train::{ExampleLoss, is_right};

/// An evaluator's verdict as a differentiable objective.
///
/// The verdict has a [score](Variable::score). Backwards, a model is shown what the evaluator does, the
/// prediction and the verdict, and asked for feedback on the prediction. It sees the expected answer only if
/// told so: feedback that quotes it can teach a prompt the answers of the training set.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Variable, backward};
/// use textgrad_ops::train::{EvaluatorLoss, Example, NumericMatch};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Count every fruit, one by one."]));
/// let purpose = "says whether the last number of the answer is right";
/// let loss = EvaluatorLoss::new(engine, Arc::new(NumericMatch::new()), purpose);
/// let answer = Variable::differentiable("There are 3 fruits.", "answer to a question");
///
/// let verdict = loss.evaluate(&answer, &Example::new("1").with_expected("4")).await?;
/// assert_eq!(verdict.score().unwrap().passed(), Some(false));
/// assert_eq!(backward(&verdict).await?.text(&answer), "Count every fruit, one by one.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct EvaluatorLoss {
    evaluator: Arc<dyn Evaluator>,
    purpose: Arc<str>,
    feedback: FeedbackSettings,
    show_expected: bool,
    errors_only: bool,
}

impl EvaluatorLoss {
    /// An objective of what `evaluator` says. `purpose` tells the model what the evaluator does; `engine`
    /// gives feedback in a backward pass.
    pub fn new(
        engine: Arc<dyn Engine>,
        evaluator: Arc<dyn Evaluator>,
        purpose: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            evaluator,
            purpose: purpose.into(),
            feedback: FeedbackSettings::new(engine),
            show_expected: false,
            errors_only: false,
        }
    }

    /// Shows the expected answer to the model that gives feedback, where there is one; it does not unless
    /// said otherwise.
    #[must_use]
    pub fn show_expected(mut self, show: bool) -> Self {
        self.show_expected = show;
        self
    }

    /// Says nothing about a prediction that is right (a verdict that passed, or a score of at least 1), so
    /// that no request is made for it.
    #[must_use]
    pub fn errors_only(mut self, errors_only: bool) -> Self {
        self.errors_only = errors_only;
        self
    }

    /// The wording of requests for feedback.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.feedback.prompts = prompts.into();
        self
    }

    /// How feedback is drawn; one answer whatever its `n` says.
    #[must_use]
    pub fn feedback_sampling(mut self, sampling: Sampling) -> Self {
        self.feedback.sampling = sampling.with_n(1);
        self
    }

    /// Evaluates a prediction.
    ///
    /// # Errors
    /// [`Error::Forward`] with what the evaluator says, or if the prediction is no text.
    pub async fn evaluate(
        &self,
        prediction: &Variable,
        example: &Example,
    ) -> Result<Variable, Error> {
        let mut inputs = vec![(PREDICTION, prediction.clone())];
        if let (true, Some(expected)) = (self.show_expected, example.expected()) {
            inputs.push((EXPECTED, Variable::constant(expected, "expected answer")));
        }
        let op = Verdict { loss: self.clone(), example: example.clone() };
        apply_one(Arc::new(op), inputs).await
    }
}

const PREDICTION: &str = "prediction";
const EXPECTED: &str = "expected_answer";

#[async_trait]
impl ExampleLoss for EvaluatorLoss {
    async fn evaluate(
        &self,
        prediction: &Variable,
        example: &Example,
        _: Seed,
    ) -> Result<Variable, Error> {
        self.evaluate(prediction, example).await
    }
}

struct Verdict {
    loss: EvaluatorLoss,
    example: Example,
}

#[async_trait]
impl Op for Verdict {
    fn name(&self) -> &str {
        "evaluator"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let prediction = inputs.text(PREDICTION)?;
        let score = self.loss.evaluator.evaluate(prediction, &self.example).await?;
        let text = match score {
            Score::Passed(true) => "right".to_owned(),
            Score::Passed(false) => "wrong".to_owned(),
            Score::Number(number) => format!("score: {number}"),
        };
        let role = format!("verdict: {}", self.loss.purpose);
        Ok(vec![Output::new(text, role).with_score(score)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let score = cx.outputs().first().and_then(Output::score);
        if self.loss.errors_only && score.is_some_and(is_right) {
            return Ok(vec![None; cx.inputs().len()]);
        }
        let quote = |output: usize, made: &Output| QuotedCall {
            output,
            source: ContextSource::Function {
                purpose: Arc::clone(&self.loss.purpose),
                inputs: cx.inputs().clone(),
                output: made.value().describe().into(),
            },
            response_role: Arc::clone(made.role()),
        };
        cx.for_each_input(|input| request_feedback(cx, input, &self.loss.feedback, &[], quote))
            .await
    }
}

impl fmt::Debug for EvaluatorLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluatorLoss")
            .field("evaluator", &self.evaluator.name())
            .field("purpose", &self.purpose)
            .field("show_expected", &self.show_expected)
            .field("errors_only", &self.errors_only)
            .finish_non_exhaustive()
    }
}
