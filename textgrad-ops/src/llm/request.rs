//! Requests of a call, before they are sent.

use std::sync::Arc;

use textgrad_core::{Error, Seed, Variable, apply};

use super::call::LlmCall;
use super::prompt::{Turn, TurnSlot, TurnText, with_system};

/// Name of the inputs before the prompt.
const ATTACHMENT: &str = "attachment";

/// Name of the inputs that are earlier turns.
const TURN: &str = "turn";

/// A request about to be sent; see [`LlmCall::ask`].
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until `one` or `all` is awaited"]
pub struct LlmRequest<'a> {
    call: &'a LlmCall,
    system: Option<Variable>,
    attachments: Vec<(Arc<str>, Variable)>,
    inputs: Vec<(Arc<str>, Variable)>,
    history: Vec<Turn>,
    seed: Option<Seed>,
}

impl<'a> LlmRequest<'a> {
    pub(super) fn new(call: &'a LlmCall, inputs: Vec<(Arc<str>, Variable)>) -> Self {
        let (attachments, history) = (Vec::new(), Vec::new());
        Self { call, system: None, attachments, inputs, history, seed: None }
    }

    /// Sets the system prompt. An empty one is not sent.
    pub fn system(mut self, system: impl Into<Variable>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// Adds an image or a text before the prompt, in the same message.
    pub fn attach(mut self, attachment: impl Into<Variable>) -> Self {
        self.attachments.push((ATTACHMENT.into(), attachment.into()));
        self
    }

    /// Adds earlier turns between the system prompt and the user message: [messages](textgrad_core::Message), which are
    /// constants, or [turns](Turn) made of variables, which a backward pass reaches.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::testing::ScriptedEngine;
    /// use textgrad_core::{Message, Variable, backward};
    /// use textgrad_ops::{LlmCall, Turn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let engine = Arc::new(ScriptedEngine::new(["Three.", "Four.", "Name the shape."]));
    /// let llm = LlmCall::builder(engine).build();
    /// let first = Variable::differentiable("How many corners?", "first question");
    /// let count = llm.ask(&first).one().await?;
    /// let second = Variable::constant("And of a square?", "second question");
    /// let turns = [Turn::user(&first), Turn::assistant(count.stop_gradient())];
    /// let answer = llm.ask(&second).history(turns).one().await?;
    /// assert_eq!(backward(&answer).await?.text(&first), "Name the shape.");
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    pub fn history<T: Into<Turn>>(mut self, turns: impl IntoIterator<Item = T>) -> Self {
        self.history = turns.into_iter().map(Into::into).collect();
        self
    }

    /// Replaces the seed of the sampling parameters.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sends the request: at least one response, at most the `n` of the sampling parameters.
    ///
    /// # Errors
    /// [`Error::Forward`] with the cause: a field that is missing, unknown or given twice, an image where text is
    /// needed or the other way round, or the failure of the engine. Of a response whose texts are all blank, or which
    /// has none, the cause is an [`EngineError`](textgrad_core::EngineError) as for such a reply of a server.
    pub async fn all(self) -> Result<Vec<Variable>, Error> {
        let settings = match self.seed {
            None => Arc::clone(&self.call.settings),
            seed => Arc::new((*self.call.settings).clone().at(seed)),
        };
        let (mut turns, mut inputs) = (Vec::new(), Vec::new());
        for Turn(turn) in self.history {
            turns.push(match turn {
                TurnText::Constant(message) => TurnSlot::Constant(message),
                TurnText::Variable(role, text) => {
                    inputs.push((TURN.into(), text));
                    TurnSlot::Input(role)
                }
            });
        }
        let call = LlmCall { settings, has_system: self.system.is_some(), turns: turns.into() };
        inputs.extend(self.attachments.into_iter().chain(self.inputs));
        let inputs = with_system(self.system, inputs);
        apply(Arc::new(call), inputs).await
    }

    /// Sends the request: the first response.
    ///
    /// # Errors
    /// Those of [`LlmRequest::all`].
    pub async fn one(self) -> Result<Variable, Error> {
        let name = Arc::clone(&self.call.settings.name);
        self.all().await?.into_iter().next().ok_or_else(|| Error::OutputCount {
            op: name.to_string(),
            expected: 1,
            got: 0,
        })
    }
}
