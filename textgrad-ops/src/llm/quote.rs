//! Calls as prompts show them.

use textgrad_core::{BackwardCx, ContextSource, Error, Gradient, Variable};

use super::feedback::{FeedbackSettings, QuotedCall};
use crate::prompts::{
    ConversationContext, FeedbackContext, FunctionArgument, FunctionContext, Prompts, TurnContext,
    VariableContext, brief,
};

/// What the templates of a request for feedback are told: the calls, quoted, and what was said about them.
pub(super) fn feedback_context(
    cx: &BackwardCx,
    settings: &FeedbackSettings,
    variable: &Variable,
    calls: &[QuotedCall],
) -> Result<FeedbackContext, Error> {
    let mut quoted = Vec::new();
    for call in calls {
        quoted.push(quote_source(&settings.prompts, &call.source, None)?);
    }
    let feedback = words_of(cx, calls);
    let first = calls.first();
    let conversation = first.and_then(|call| conversation_context(&call.source, None));
    let said = |text: fn(&ConversationContext) -> &String| conversation.as_ref().map(text).cloned();
    Ok(FeedbackContext {
        variable: VariableContext::new(variable),
        variable_brief: brief(&variable.value().describe()),
        call: quoted.join("\n\n"),
        function: matches!(first.map(|call| &call.source), Some(ContextSource::Function { .. })),
        response_role: first.map(|call| call.response_role.to_string()).unwrap_or_default(),
        objective: feedback.is_empty(),
        feedback_text: feedback.join("\n"),
        feedback,
        prompt: said(|conversation| &conversation.prompt),
        response: said(|conversation| &conversation.response),
        images: conversation.as_ref().map_or(0, |conversation| conversation.images),
        system_prompt: conversation.as_ref().and_then(|known| known.system_prompt.clone()),
        history: conversation.as_ref().map(|known| known.history.clone()).unwrap_or_default(),
        examples: conversation.map(|conversation| conversation.examples).unwrap_or_default(),
        feedback_examples_text: settings.examples.join("\n"),
        feedback_examples: settings.examples.clone(),
    })
}

/// What was said about the outputs of a call; where it is about several, with the number of each, in the order
/// in which they are quoted.
fn words_of(cx: &BackwardCx, calls: &[QuotedCall]) -> Vec<String> {
    let mut words = Vec::new();
    for (number, call) in (1..).zip(calls) {
        for feedback in cx.gradients(call.output).iter().filter_map(Gradient::feedback) {
            words.push(match calls.len() {
                1 => feedback.text().to_owned(),
                _ => format!("On output {number}: {}", feedback.text()),
            });
        }
    }
    words
}

/// A call as a prompt shows it. A text of it that is shown as `variable` in the same prompt is marked so.
pub(crate) fn quote_source(
    prompts: &Prompts,
    source: &ContextSource,
    variable: Option<&Variable>,
) -> Result<String, Error> {
    if let Some(context) = conversation_context(source, variable) {
        return Ok(prompts.render("conversation", &context)?);
    }
    let ContextSource::Function { purpose, inputs, output } = source else {
        return Err(Error::op("this kind of context cannot be shown in a prompt"));
    };
    let inputs = inputs.iter().map(|input| FunctionArgument::new(input.name(), input.variable()));
    let context = FunctionContext {
        purpose: purpose.to_string(),
        inputs: inputs.collect(),
        output: output.to_string(),
    };
    Ok(prompts.render("function_call", &context)?)
}

/// A call of a language model as templates see it; `None` for any other.
fn conversation_context(
    source: &ContextSource,
    variable: Option<&Variable>,
) -> Option<ConversationContext> {
    let ContextSource::Conversation { system, examples, history, prompt, images, response } =
        source
    else {
        return None;
    };
    let shown = variable.and_then(Variable::text);
    Some(ConversationContext {
        system_is_variable: shown.is_some() && system.as_deref() == shown,
        prompt_is_variable: shown == Some(&**prompt),
        system_prompt: system.as_ref().map(ToString::to_string),
        examples: examples.to_vec(),
        history: history.iter().map(|turn| TurnContext::new(turn, shown)).collect(),
        prompt: prompt.to_string(),
        images: *images,
        response: response.to_string(),
    })
}
