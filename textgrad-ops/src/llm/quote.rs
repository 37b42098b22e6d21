//! Calls as prompts show them.

use textgrad_core::{BackwardCx, ContextSource, Error, Gradient, Variable};

use super::feedback::{FeedbackSettings, QuotedCall};
use crate::prompts::{
    ConversationContext, FeedbackContext, FunctionArgument, FunctionContext, Prompts,
    VariableContext,
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
    let (system_prompt, examples, prompt, response) = match first.map(|call| &call.source) {
        Some(ContextSource::Conversation { system, examples, prompt, response }) => (
            system.as_ref().map(ToString::to_string),
            examples.to_vec(),
            Some(prompt.to_string()),
            Some(response.to_string()),
        ),
        _ => (None, Vec::new(), None, None),
    };
    Ok(FeedbackContext {
        variable: VariableContext::new(variable),
        call: quoted.join("\n\n"),
        function: matches!(first.map(|call| &call.source), Some(ContextSource::Function { .. })),
        response_role: first.map(|call| call.response_role.to_string()).unwrap_or_default(),
        objective: feedback.is_empty(),
        feedback_text: feedback.join("\n"),
        feedback,
        system_prompt,
        examples,
        prompt,
        response,
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
    let shown = variable.and_then(Variable::text);
    match source {
        ContextSource::Conversation { system, examples, prompt, response } => {
            let context = ConversationContext {
                system_is_variable: shown.is_some() && system.as_deref() == shown,
                prompt_is_variable: shown == Some(&**prompt),
                system_prompt: system.as_ref().map(ToString::to_string),
                examples: examples.to_vec(),
                prompt: prompt.to_string(),
                response: response.to_string(),
            };
            Ok(prompts.render("conversation", &context)?)
        }
        ContextSource::Function { purpose, inputs, output } => {
            let inputs =
                inputs.iter().map(|input| FunctionArgument::new(input.name(), input.variable()));
            let context = FunctionContext {
                purpose: purpose.to_string(),
                inputs: inputs.collect(),
                output: output.to_string(),
            };
            Ok(prompts.render("function_call", &context)?)
        }
        _ => Err(Error::op("this kind of context can not be shown in a prompt")),
    }
}
