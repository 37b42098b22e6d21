//! A preferred text against a rejected one.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use textgrad_core::{Engine, Error, Inputs, Message, MessageRole, Variable};

use super::judge::{Judge, instruction};
use crate::prompts::{ContrastiveContext, EvaluationContext, Prompts};

/// A preferred response to a query against a rejected one: what made it the preferred one, and what both of
/// them lack.
///
/// The preferred response is the user message and is what feedback is given on; query and rejected response
/// stand in the system message, are constants, and get none. Without a rejected response it is the evaluation
/// of one response to a query. This is the loss of test-time preference optimization (Li et al., 2025,
/// arXiv:2501.12895).
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, Variable, backward};
/// use textgrad_ops::ContrastiveLoss;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["It has a reason, but no example.", "Add an example."]));
/// let query = Variable::constant("Why is the sky blue?", "query of a user");
/// let rejected = Variable::constant("It just is.", "a rejected response");
/// let chosen = Parameter::new("Air scatters blue light.", "a chosen response");
///
/// let loss = ContrastiveLoss::new(engine, &query).against(&rejected);
/// let gradients = backward(&loss.evaluate(&chosen.variable()).await?).await?;
/// assert_eq!(gradients.text(&chosen.variable()), "Add an example.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ContrastiveLoss {
    pub(super) judge: Judge,
    query: Variable,
    rejected: Option<Variable>,
    dialogue: Option<Vec<Message>>,
}

impl ContrastiveLoss {
    /// The evaluation of responses to this query.
    pub fn new(engine: Arc<dyn Engine>, query: impl Into<Variable>) -> Self {
        let query = query.into();
        let judge = Judge::of_query(engine, &query);
        Self { judge, query, rejected: None, dialogue: None }
    }

    /// Against this response, which was rejected.
    #[must_use]
    pub fn against(mut self, rejected: impl Into<Variable>) -> Self {
        self.rejected = Some(rejected.into());
        self
    }

    /// Continues the conversation that the preferred response was an answer in, instead of quoting it: its
    /// turns up to that answer, a system message at the beginning, if any. The response is then the model's
    /// own last turn, so that a server with automatic prefix caching need not read any of it again. Feedback
    /// and updates go on from there in passes of [`Layout::Continued`](textgrad_core::Layout::Continued).
    /// A conversation that ends with a turn of the model has the response in that turn, such as
    /// [that of an update](textgrad_core::Op::dialogue).
    #[must_use]
    pub fn continuing(mut self, dialogue: impl IntoIterator<Item = Message>) -> Self {
        self.dialogue = Some(dialogue.into_iter().collect());
        self
    }

    pub(super) fn own_settings(&self) -> Json {
        json!({ "query": self.query.value().describe() })
    }

    /// Evaluates the response that was preferred.
    ///
    /// # Errors
    /// [`Error::Forward`] with the engine's failure, or if one of the texts is an image.
    pub async fn evaluate(&self, chosen: impl Into<Variable>) -> Result<Variable, Error> {
        let chosen = chosen.into();
        let mut inputs = vec![(QUERY, self.query.clone()), (CHOSEN, chosen.clone())];
        inputs.extend(self.rejected.iter().map(|rejected| (REJECTED, rejected.clone())));
        let prompts = self.judge.prompts.clone();
        let template = match (&self.rejected, &self.dialogue) {
            (Some(_), None) => "contrastive_system",
            (None, None) => "evaluation_system",
            (Some(_), Some(_)) => "contrastive_continue",
            (None, Some(_)) => "evaluation_continue",
        };
        let render = move |inputs: &Inputs| render(&prompts, template, inputs);
        let template = self.judge.prompts.variable(template);
        let instruction = instruction(&inputs, template, render).await?;
        let Some(dialogue) = &self.dialogue else {
            return self.judge.read(&instruction, &chosen).await;
        };
        // The response is the model's own last turn.
        let (system, turns) = match dialogue.split_first() {
            Some((first, turns)) if first.role == MessageRole::System => (first.text(), turns),
            _ => (String::new(), dialogue.as_slice()),
        };
        let has_answer = turns.last().is_some_and(|last| last.role == MessageRole::Assistant);
        let answer = || Message::assistant(chosen.text().unwrap_or_default());
        let history = turns.iter().cloned().chain((!has_answer).then(answer)).collect();
        let word =
            move |inputs: &Inputs| Ok((system.clone(), Message::user(inputs.text(INSTRUCTION)?)));
        let inputs = Inputs::new([(INSTRUCTION, instruction), (CHOSEN, chosen)]);
        self.judge.word(inputs, history, Arc::new(word), None).await
    }
}

/// The request in words, by a template.
fn render(prompts: &Prompts, template: &str, inputs: &Inputs) -> Result<String, Error> {
    let (query, chosen) = (inputs.text(QUERY)?, inputs.text(CHOSEN)?);
    let rendered = if inputs.find(REJECTED).is_some() {
        let context = ContrastiveContext { query, chosen, rejected: inputs.text(REJECTED)? };
        prompts.render(template, &context)
    } else {
        prompts.render(template, &EvaluationContext { query, chosen })
    };
    Ok(rendered?)
}

const QUERY: &str = "query";
const CHOSEN: &str = "chosen";
const REJECTED: &str = "rejected";
const INSTRUCTION: &str = "instruction";
