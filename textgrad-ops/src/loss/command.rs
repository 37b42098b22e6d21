//! A program as an objective.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, ContextSource, Engine, Error, Gradient, Inputs, Op, OpFailure, Output, Sampling,
    Variable, apply_one,
};

use super::Loss;
use super::stated::complain;
use crate::command::{Run, Runner, could_not_run};
use crate::llm::{FeedbackSettings, QuotedCall, request_feedback};
use crate::prompts::{CommandContext, Prompts};

type ReadNumber = dyn Fn(&Run) -> Option<f64> + Send + Sync;

/// A program as an objective: it is run on the text, and how it ended is the verdict. Code with its unit
/// tests, a compiler, a linter, a simulator.
///
/// The evaluation is how the program ended and what it wrote (template `command_report`). It passed if the
/// program exited with code 0; with [`CommandLoss::score_by`] the score is a number instead. Backwards, a text
/// on which the program failed is told how it ended and what it wrote, without a model (template
/// `command_feedback`); with [`CommandLoss::feedback_engine`] a model words the feedback.
///
/// # Examples
/// ```
/// # #[cfg(unix)]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use textgrad_core::{Score, Variable, backward};
/// use textgrad_ops::CommandLoss;
/// use textgrad_ops::command::Runner;
///
/// let tests = Runner::builder("sh")
///     .arg("tests.sh")
///     .text_file("add.sh")
///     .file("tests.sh", ". ./add.sh\n[ \"$(add 2 2)\" = 4 ] || { echo 'add 2 2 is not 4'; exit 1; }")
///     .build()?;
/// let loss = CommandLoss::new(tests);
/// let code = Variable::differentiable("add() { echo $(( $1 - $2 )); }", "shell function that adds");
/// let verdict = loss.evaluate(&code).await?;
/// assert_eq!(verdict.score(), Some(Score::Passed(false)));
/// assert!(backward(&verdict).await?.text(&code).contains("add 2 2 is not 4"));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct CommandLoss {
    runner: Runner,
    purpose: Arc<str>,
    role: Arc<str>,
    prompts: Prompts,
    number: Option<Arc<ReadNumber>>,
    feedback_engine: Option<Arc<dyn Engine>>,
    feedback_sampling: Sampling,
}

impl CommandLoss {
    /// The role of the evaluation, unless said otherwise.
    pub const RESPONSE_ROLE: &'static str = "result of running a program on a text";

    /// This program as an objective.
    #[must_use]
    pub fn new(runner: Runner) -> Self {
        let input = match runner.text_file() {
            Some(file) => format!("the text as the file {file}"),
            None => "the text on its standard input".to_owned(),
        };
        Self {
            purpose: format!("runs `{}` with {input}", runner.command_line()).into(),
            runner,
            role: Self::RESPONSE_ROLE.into(),
            prompts: Prompts::default(),
            number: None,
            feedback_engine: None,
            feedback_sampling: Sampling::default(),
        }
    }

    /// What the program is for, in words; its command line unless said otherwise.
    #[must_use]
    pub fn purpose(mut self, purpose: impl Into<Arc<str>>) -> Self {
        self.purpose = purpose.into();
        self
    }

    /// What the evaluation is for, in words.
    #[must_use]
    pub fn response_role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.role = role.into();
        self
    }

    /// The wording of the evaluation and of feedback.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.prompts = prompts.into();
        self
    }

    /// Reads the score, more is better, from what came of a run: the share of tests that passed, a speed.
    /// Where it finds none, or one that is not finite, the evaluation has no score. It has no part in what
    /// counts as failed: that is any end but exit code 0.
    #[must_use]
    pub fn score_by(
        mut self,
        number: impl Fn(&Run) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        self.number = Some(Arc::new(number));
        self
    }

    /// Has this model word the feedback. It is asked if the program failed, if there is a number to improve,
    /// and if something was said about the evaluation.
    #[must_use]
    pub fn feedback_engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.feedback_engine = Some(engine);
        self
    }

    /// How that feedback is drawn; one answer whatever its `n` says. Without a model, it changes nothing.
    #[must_use]
    pub fn feedback_sampling(mut self, sampling: Sampling) -> Self {
        self.feedback_sampling = sampling.with_n(1);
        self
    }

    /// Runs the program on a text.
    ///
    /// # Errors
    /// [`Error::Forward`] if the program could not be run, or if the text is an image. That it fails, or
    /// hangs, is no error but the evaluation.
    pub async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        let op = CommandOp { loss: self.clone(), run: OnceLock::new() };
        apply_one(Arc::new(op), [("text", text)]).await
    }
}

/// One run. A loss makes an op for each, so that the backward pass knows what came of this one.
struct CommandOp {
    loss: CommandLoss,
    run: OnceLock<Run>,
}

#[async_trait]
impl Op for CommandOp {
    fn name(&self) -> &str {
        "command"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let loss = &self.loss;
        let run = loss.runner.run(inputs.text("text")?).await.map_err(could_not_run)?;
        let context = CommandContext::new(&loss.purpose, &run);
        let text = loss.prompts.render("command_report", &context)?;
        let output = Output::new(text, Arc::clone(&loss.role));
        let output = match &loss.number {
            None => output.with_score(run.end.is_success()),
            Some(number) => match number(&run).filter(|number| number.is_finite()) {
                Some(number) => output.with_score(number),
                None => output,
            },
        };
        self.run.get_or_init(|| run);
        Ok(vec![output])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let loss = &self.loss;
        let failed = self.run.get().filter(|run| !run.end.is_success());
        let Some(engine) = &loss.feedback_engine else {
            let complaint = failed.map(|run| {
                let context = CommandContext::new(&loss.purpose, run);
                loss.prompts.render("command_feedback", &context)
            });
            let complaint = complaint.transpose()?;
            return complain(cx, "failure", &loss.purpose, complaint.as_deref()).await;
        };
        let said = cx.gradients(0).iter().any(|gradient| gradient.feedback().is_some());
        if failed.is_none() && loss.number.is_none() && !said {
            return Ok(vec![None; cx.inputs().len()]);
        }
        let settings = FeedbackSettings {
            examples: Vec::new(),
            engine: Arc::clone(engine),
            prompts: loss.prompts.clone(),
            sampling: loss.feedback_sampling.clone(),
        };
        let quote = |output: usize, made: &Output| QuotedCall {
            output,
            source: ContextSource::Function {
                purpose: Arc::clone(&loss.purpose),
                inputs: cx.inputs().clone(),
                output: made.value().describe().into(),
            },
            response_role: Arc::clone(made.role()),
        };
        cx.for_each_input(|input| request_feedback(cx, input, &settings, &[], quote)).await
    }
}

#[async_trait]
impl Loss for CommandLoss {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        self.evaluate(text).await
    }
}

impl fmt::Debug for CommandLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandLoss")
            .field("runner", &self.runner)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}
