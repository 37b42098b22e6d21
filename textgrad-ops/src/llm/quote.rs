//! Calls as prompts quote them.

use textgrad_core::{Error, Inputs, Message, MessageRole, Output, Part, Quote, Request, Variable};

use crate::prompts::{
    ConversationContext, Exchange, FunctionArgument, FunctionContext, Prompts, TurnContext,
};

/// A call as a prompt quotes it.
pub(crate) struct QuotedCall {
    pub(crate) text: String,
    /// The template values, if the call is one of a language model.
    pub(crate) conversation: Option<ConversationContext>,
}

/// Quotes a call and one of its outputs. A text of the call that is shown as `variable` in the same prompt is
/// marked.
pub(crate) fn quote_call(
    prompts: &Prompts,
    quote: &Quote,
    inputs: &Inputs,
    response: &Output,
    variable: Option<&Variable>,
) -> Result<QuotedCall, Error> {
    let response = response.value().describe();
    match quote {
        Quote::Conversation { request, examples } => {
            let context = conversation(request, *examples, response, variable);
            let text = prompts.render("conversation", &context)?;
            Ok(QuotedCall { text, conversation: Some(context) })
        }
        Quote::Function { purpose } => {
            let inputs = inputs.iter();
            let inputs = inputs.map(|input| FunctionArgument::new(input.name(), input.variable()));
            let context = FunctionContext {
                purpose: purpose.to_string(),
                inputs: inputs.collect(),
                output: response,
            };
            let text = prompts.render("function_call", &context)?;
            Ok(QuotedCall { text, conversation: None })
        }
        _ => Err(Error::op("expected a conversation or a function to quote, got another call")),
    }
}

/// A call of a language model as templates see it: the system message, the examples, the turns after them, and the
/// last message as the prompt.
fn conversation(
    request: &Request,
    examples: usize,
    response: String,
    variable: Option<&Variable>,
) -> ConversationContext {
    let (system, turns) = match request.messages.split_first() {
        Some((first, rest)) if first.role == MessageRole::System => (Some(first.text()), rest),
        _ => (None, request.messages.as_slice()),
    };
    let (prompt, turns) = match turns.split_last() {
        Some((prompt, before)) => (prompt.parts.as_slice(), before),
        None => (&[][..], turns),
    };
    let (examples, history) = turns.split_at_checked(2 * examples).unwrap_or((turns, &[]));
    let examples = examples.chunks(2).filter_map(|pair| match pair {
        [prompt, answer] => Some(Exchange { prompt: prompt.text(), answer: answer.text() }),
        _ => None,
    });
    let shown = variable.and_then(Variable::text);
    // Run together, an attached text and the prompt would be one.
    let texts: Vec<&str> = prompt.iter().filter_map(text_of).collect();
    let prompt_text = texts.join("\n");
    ConversationContext {
        system_is_variable: shown.is_some() && system.as_deref() == shown,
        prompt_is_variable: shown == Some(prompt_text.as_str()),
        system_prompt: system,
        examples: examples.collect(),
        history: history.iter().map(|turn: &Message| TurnContext::new(turn, shown)).collect(),
        images: prompt.len() - texts.len(),
        prompt: prompt_text,
        response,
    }
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) => Some(text),
        Part::Image(_) => None,
    }
}
