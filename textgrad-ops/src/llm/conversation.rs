//! The conversation of a call: its messages, request and answers.

use std::sync::Arc;

use textgrad_core::{Error, Message, Output, Quote, Request};

use super::call::LlmCallBuilder;
use crate::prompts::Exchange;

/// What a call sends.
pub(crate) struct Conversation {
    system: Option<Arc<str>>,
    examples: Arc<[Exchange]>,
    history: Arc<[Message]>,
    prompt: Message,
}

impl Conversation {
    /// A conversation by these settings. An empty system prompt is not sent.
    pub(crate) fn new(settings: &LlmCallBuilder, system: Option<&str>, prompt: Message) -> Self {
        Self {
            system: system.filter(|system| !system.is_empty()).map(Into::into),
            examples: settings.examples.as_slice().into(),
            history: Arc::clone(&settings.history),
            prompt,
        }
    }

    fn messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(|system| Message::system(&**system));
        let examples = self.examples.iter().flat_map(|example| {
            [Message::user(&*example.prompt), Message::assistant(&*example.answer)]
        });
        let turns = self.history.iter().cloned().chain([self.prompt.clone()]);
        system.chain(examples).chain(turns).collect()
    }

    /// What the engine is asked.
    pub(crate) fn request(&self, settings: &LlmCallBuilder) -> Request {
        let mut request = Request::new(settings.purpose, self.messages())
            .with_sampling(settings.sampling.clone());
        request.format.clone_from(&settings.format);
        request
    }

    /// How prompts quote it.
    pub(crate) fn quote(&self, settings: &LlmCallBuilder) -> Quote {
        Quote::Conversation { request: self.request(settings), examples: self.examples.len() }
    }
}

/// Asks the engine and makes outputs of the answers.
pub(crate) async fn complete(
    settings: &LlmCallBuilder,
    conversation: &Conversation,
) -> Result<Vec<Output>, Error> {
    let response = settings.engine.complete(&conversation.request(settings)).await?;
    Ok(response
        .choices
        .into_iter()
        // Engines may give more than was asked for.
        .take(settings.sampling.n as usize)
        .map(|choice| {
            let output = Output::new(choice.text, Arc::clone(&settings.response_role));
            match settings.requires_grad {
                Some(requires_grad) => output.with_requires_grad(requires_grad),
                None => output,
            }
        })
        .collect())
}
