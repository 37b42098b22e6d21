//! A conversation with a model: what is sent, and what requests for feedback quote of it.

use std::sync::Arc;

use textgrad_core::{
    BackwardCx, ContextSource, Error, Exchange, Gradient, Message, OpFailure, Output, Part, Request,
};

use super::call::LlmCallBuilder;
use super::feedback::{QuotedCall, request_feedback};

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

    /// The texts of the prompt, one below the other: run together, an attached text and the prompt would be
    /// one.
    fn prompt_text(&self) -> Arc<str> {
        let texts = self.prompt.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image(_) => None,
        });
        texts.collect::<Vec<_>>().join("\n").into()
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

/// Asks for feedback on every input of a conversation.
pub(crate) async fn backward_of(
    settings: &LlmCallBuilder,
    cx: &BackwardCx,
    conversation: &Conversation,
) -> Result<Vec<Option<Gradient>>, OpFailure> {
    let (messages, prompt) = (conversation.messages(), conversation.prompt_text());
    let images = conversation.prompt.parts.iter();
    let images = images.filter(|part| matches!(part, Part::Image(_))).count();
    let quote = |output: usize, made: &Output| QuotedCall {
        output,
        source: ContextSource::Conversation {
            system: conversation.system.clone(),
            examples: Arc::clone(&conversation.examples),
            history: Arc::clone(&conversation.history),
            prompt: Arc::clone(&prompt),
            images,
            response: made.value().describe().into(),
        },
        response_role: Arc::clone(made.role()),
    };
    cx.for_each_input(|input| request_feedback(cx, input, &settings.feedback, &messages, quote))
        .await
}
