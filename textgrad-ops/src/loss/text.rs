//! An objective in words.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, Error, Purpose, Sampling, Seed, Variable};

use super::Loss;
use crate::llm::{LlmCall, LlmCallBuilder};
use crate::prompts::Prompts;

/// An objective in words: a model evaluates a text by an instruction.
///
/// The instruction is the system message and the text is the user message. It may be a
/// [`Parameter`](textgrad_core::Parameter)'s variable, so that an objective can be learned too.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, Variable, backward};
/// use textgrad_ops::TextLoss;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["The second step is wrong.", "Redo the second step."]));
/// let loss = TextLoss::new(engine, "Find errors in the solution. Do not solve the problem yourself.");
/// let solution = Parameter::new("2 + 2 = 4, so 4 + 1 = 6.", "solution of a problem");
/// let evaluation = loss.evaluate(&solution.variable()).await?;
/// let gradients = backward(&evaluation).await?;
/// assert_eq!(gradients.text(&solution.variable()), "Redo the second step.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TextLoss {
    instruction: Variable,
    settings: LlmCallBuilder,
    seed: Option<Seed>,
}

impl TextLoss {
    /// What the instruction of a loss is for, in words.
    pub const INSTRUCTION_ROLE: &'static str = "instruction that a text is evaluated by";

    /// An objective given by an instruction in words.
    pub fn new(engine: Arc<dyn Engine>, instruction: impl Into<Arc<str>>) -> Self {
        Self::with_instruction(engine, Variable::new(instruction.into(), Self::INSTRUCTION_ROLE))
    }

    /// An objective whose instruction is a variable.
    pub fn with_instruction(engine: Arc<dyn Engine>, instruction: Variable) -> Self {
        let settings = LlmCall::builder(engine)
            .name("loss")
            .purpose(Purpose::Loss)
            .response_role("evaluation of a text");
        Self { instruction, settings, seed: None }
    }

    /// How the evaluation is drawn; one answer whatever its `n` says.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.settings = self.settings.sampling(sampling.with_n(1));
        self
    }

    /// How feedback is drawn in a backward pass.
    #[must_use]
    pub fn feedback_sampling(mut self, sampling: Sampling) -> Self {
        self.settings = self.settings.feedback_sampling(sampling);
        self
    }

    /// The engine that gives feedback in a backward pass; the loss's own unless said otherwise.
    #[must_use]
    pub fn feedback_engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.settings = self.settings.feedback_engine(engine);
        self
    }

    /// The wording of requests for feedback.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.settings = self.settings.prompts(prompts);
        self
    }

    /// What the evaluation is for, in words.
    #[must_use]
    pub fn response_role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.settings = self.settings.response_role(role);
        self
    }

    /// The seed of the evaluation.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Evaluates a text.
    ///
    /// # Errors
    /// [`Error::Forward`] with the engine's failure.
    pub async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        let call = self.settings.clone().build();
        let ask = call.ask(text).system(&self.instruction);
        match self.seed {
            Some(seed) => ask.seed(seed).one().await,
            None => ask.one().await,
        }
    }
}

#[async_trait]
impl Loss for TextLoss {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        self.evaluate(text).await
    }
}
