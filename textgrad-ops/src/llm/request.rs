//! Requests of a call, before they are sent.

use std::sync::Arc;

use textgrad_core::{Error, Message, Seed, Variable, apply};

use super::call::LlmCall;
use super::prompt::with_system;

/// Name of the inputs before the prompt.
const ATTACHMENT: &str = "attachment";

/// A request about to be sent; see [`LlmCall::ask`].
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until `one` or `all` is awaited"]
pub struct LlmRequest<'a> {
    call: &'a LlmCall,
    system: Option<Variable>,
    attachments: Vec<(Arc<str>, Variable)>,
    inputs: Vec<(Arc<str>, Variable)>,
    history: Vec<Message>,
    seed: Option<Seed>,
}

impl<'a> LlmRequest<'a> {
    pub(super) fn new(call: &'a LlmCall, inputs: Vec<(Arc<str>, Variable)>) -> Self {
        let (attachments, history) = (Vec::new(), Vec::new());
        Self { call, system: None, attachments, inputs, history, seed: None }
    }

    /// Sets the system prompt. An empty one is not sent.
    pub fn system(mut self, system: &Variable) -> Self {
        self.system = Some(system.clone());
        self
    }

    /// Adds an image or a text before the prompt, in the same message.
    pub fn attach(mut self, attachment: &Variable) -> Self {
        self.attachments.push((ATTACHMENT.into(), attachment.clone()));
        self
    }

    /// Adds earlier turns between the system prompt and the user message. They are constants.
    pub fn history(mut self, turns: impl IntoIterator<Item = Message>) -> Self {
        self.history = turns.into_iter().collect();
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
    /// needed or the other way round, or the failure of the engine.
    pub async fn all(self) -> Result<Vec<Variable>, Error> {
        let settings = if self.seed.is_none() && self.history.is_empty() {
            Arc::clone(&self.call.settings)
        } else {
            let mut settings = (*self.call.settings).clone().at(self.seed);
            if !self.history.is_empty() {
                settings = settings.history(self.history);
            }
            Arc::new(settings)
        };
        let call = LlmCall { settings, has_system: self.system.is_some() };
        let inputs = with_system(self.system, self.attachments.into_iter().chain(self.inputs));
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
