//! The model call behind losses in words.

use std::sync::Arc;

use derive_setters::Setters;
use textgrad_core::{Engine, Error, Inputs, Message, Purpose, Sampling, Seed, Variable, apply_one};

use super::{
    ContrastiveLoss, ImageQaLoss, ListwiseLoss, MultiFieldLoss, MultipleChoiceLoss, TextLoss,
};
use crate::llm::{LlmCall, LlmCallBuilder, ReadScore, Render};
use crate::prompts::{Prompts, rendered};

/// The model behind a loss in words, and how it is asked.
#[derive(Debug, Clone, Setters)]
#[setters(generate_delegates(ty = "ContrastiveLoss", field = "judge"))]
#[setters(generate_delegates(ty = "ImageQaLoss", field = "judge"))]
#[setters(generate_delegates(ty = "ListwiseLoss", field = "judge"))]
#[setters(generate_delegates(ty = "MultiFieldLoss", field = "judge"))]
#[setters(generate_delegates(ty = "MultipleChoiceLoss", field = "judge"))]
#[setters(generate_delegates(ty = "TextLoss", field = "judge"))]
pub(super) struct Judge {
    #[setters(skip)]
    engine: Arc<dyn Engine>,
    /// How the evaluation is drawn; one answer whatever its `n` says.
    sampling: Sampling,
    /// How feedback is drawn in a backward pass.
    feedback_sampling: Sampling,
    /// The engine that gives feedback in a backward pass; default: the loss's own.
    #[setters(strip_option)]
    feedback_engine: Option<Arc<dyn Engine>>,
    /// The wording of the loss and of requests for feedback.
    #[setters(into)]
    pub(super) prompts: Prompts,
    /// What the evaluation is for, in words.
    #[setters(into)]
    response_role: Arc<str>,
    /// The seed of the evaluation.
    #[setters(strip_option)]
    seed: Option<Seed>,
    /// The query that the text answers.
    #[setters(skip)]
    query: Option<Arc<str>>,
}

impl Judge {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            sampling: Sampling::default(),
            feedback_sampling: Sampling::default(),
            feedback_engine: None,
            prompts: Prompts::default(),
            response_role: "evaluation of a text".into(),
            seed: None,
            query: None,
        }
    }

    /// The model behind a loss of answers to a query.
    pub(super) fn of_query(engine: Arc<dyn Engine>, query: &Variable) -> Self {
        Self { query: query.text().map(Arc::from), ..Self::new(engine) }
    }

    fn call(&self) -> LlmCallBuilder {
        let feedback_engine = self.feedback_engine.as_ref().unwrap_or(&self.engine);
        let call = LlmCall::builder(Arc::clone(&self.engine));
        let call = match &self.query {
            Some(query) => call.feedback_query(Arc::clone(query)),
            None => call,
        };
        call.name("loss")
            .purpose(Purpose::Loss)
            .response_role(Arc::clone(&self.response_role))
            .prompts(self.prompts.clone())
            .sampling(self.sampling.clone().with_n(1).at(self.seed))
            .feedback_engine(Arc::clone(feedback_engine))
            .feedback_sampling(self.feedback_sampling.clone())
    }

    /// Has a text evaluated that is the user message, by an instruction that is the system message.
    pub(super) async fn read(
        &self,
        instruction: &Variable,
        text: &Variable,
    ) -> Result<Variable, Error> {
        self.call().build().ask(text).system(instruction).one().await
    }

    /// Has inputs evaluated that are put into words together, after these turns.
    pub(super) async fn word(
        &self,
        inputs: Inputs,
        history: Vec<Message>,
        render: Arc<Render>,
        score: Option<Arc<ReadScore>>,
    ) -> Result<Variable, Error> {
        let call = self.call().history(history).rendered(render, score).build();
        apply_one(Arc::new(call), inputs).await
    }
}

/// The instruction of an evaluation, which speaks of these values.
pub(super) async fn instruction(
    values: &[(&str, Variable)],
    template: Option<&Variable>,
    render: impl Fn(&Inputs) -> Result<String, Error> + Send + Sync + 'static,
) -> Result<Variable, Error> {
    let role = "instruction that a response is evaluated by";
    let render = move |inputs: &Inputs| render(inputs).map(Arc::from);
    rendered("loss instruction", role, values, template, render).await
}
