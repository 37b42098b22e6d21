//! The model call behind losses in words.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Engine, Error, Gradient, Inputs, Op, OpFailure, Output, Purpose, Seed, Variable,
    apply_one,
};

use crate::llm::{LlmCall, LlmCallBuilder, ReadScore, Render};
use crate::prompts::Prompts;

/// The model behind a loss in words, and how it is asked.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    pub(super) settings: LlmCallBuilder,
    pub(super) prompts: Prompts,
    pub(super) seed: Option<Seed>,
}

impl Judge {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        let settings = LlmCall::builder(engine)
            .name("loss")
            .purpose(Purpose::Loss)
            .response_role("evaluation of a text");
        Self { settings, prompts: Prompts::default(), seed: None }
    }

    /// Has a text evaluated that is the user message, by an instruction that is the system message.
    pub(super) async fn read(
        &self,
        instruction: &Variable,
        text: &Variable,
    ) -> Result<Variable, Error> {
        let call = self.settings.clone().build();
        let ask = call.ask(text).system(instruction);
        match self.seed {
            Some(seed) => ask.seed(seed).one().await,
            None => ask.one().await,
        }
    }

    /// Has inputs evaluated that are put into words together.
    pub(super) async fn word(
        &self,
        inputs: Inputs,
        render: Arc<Render>,
        score: Option<Arc<ReadScore>>,
    ) -> Result<Variable, Error> {
        let call = self.settings.clone().at(self.seed).rendered(render, score).build();
        apply_one(Arc::new(call), inputs).await
    }
}

/// The system message of an evaluation, made of what it speaks of: a constant of the graph with a past.
pub(super) async fn instruction(
    inputs: Inputs,
    render: impl Fn(&Inputs) -> Result<String, Error> + Send + Sync + 'static,
) -> Result<Variable, Error> {
    apply_one(Arc::new(LossInstruction(Box::new(render))), inputs).await
}

type RenderInstruction = dyn Fn(&Inputs) -> Result<String, Error> + Send + Sync;

struct LossInstruction(Box<RenderInstruction>);

#[async_trait]
impl Op for LossInstruction {
    fn name(&self) -> &str {
        "loss instruction"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let role = "instruction that a response is evaluated by";
        Ok(vec![Output::new((self.0)(inputs)?, role).with_requires_grad(false)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }
}

/// The setters that all losses in words have; the loss keeps its [`Judge`] in a field `judge`.
macro_rules! judge_setters {
    () => {
        /// How the evaluation is drawn; one answer whatever its `n` says.
        #[must_use]
        pub fn sampling(mut self, sampling: textgrad_core::Sampling) -> Self {
            self.judge.settings = self.judge.settings.sampling(sampling.with_n(1));
            self
        }

        /// How feedback is drawn in a backward pass.
        #[must_use]
        pub fn feedback_sampling(mut self, sampling: textgrad_core::Sampling) -> Self {
            self.judge.settings = self.judge.settings.feedback_sampling(sampling);
            self
        }

        /// The engine that gives feedback in a backward pass; default: the loss's own.
        #[must_use]
        pub fn feedback_engine(
            mut self,
            engine: std::sync::Arc<dyn textgrad_core::Engine>,
        ) -> Self {
            self.judge.settings = self.judge.settings.feedback_engine(engine);
            self
        }

        /// The wording of the loss and of requests for feedback.
        #[must_use]
        pub fn prompts(mut self, prompts: impl Into<crate::prompts::Prompts>) -> Self {
            self.judge.prompts = prompts.into();
            self.judge.settings = self.judge.settings.prompts(self.judge.prompts.clone());
            self
        }

        /// What the evaluation is for, in words.
        #[must_use]
        pub fn response_role(mut self, role: impl Into<std::sync::Arc<str>>) -> Self {
            self.judge.settings = self.judge.settings.response_role(role);
            self
        }

        /// The seed of the evaluation.
        #[must_use]
        pub fn seed(mut self, seed: textgrad_core::Seed) -> Self {
            self.judge.seed = Some(seed);
            self
        }
    };
}

pub(super) use judge_setters;
