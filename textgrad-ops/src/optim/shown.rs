//! The content of a request for a new version of a text: the text, the feedback, and the calls that it is about.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use textgrad_core::{Context, Error, Feedback, Message, Part, Quote, Variable};

use super::descent::TextualGradientDescentBuilder as Settings;
use super::memory::Past;
use super::rules::Rules;
use crate::llm::quote_call;
use crate::prompts::{CallContext, Constraint, GradientContext, UpdateContext, VariableContext};

/// A text to rewrite, and all that its request shows.
pub(super) struct UpdateRequest {
    pub(super) variable: Variable,
    /// The feedback as variables, so that the new texts stand in the graph behind it.
    pub(super) feedback: Vec<Variable>,
    pub(super) rendered: RenderedFeedback,
    /// The images of the calls that the feedback is about, each once.
    images: Vec<Part>,
    /// What the quoted calls were made of and made, each once, if a pass is to go there.
    pub(super) quoted: Vec<Variable>,
    /// The one exchange that the feedback came out of, if the request is to continue it.
    pub(super) dialogue: Option<Arc<[Message]>>,
    pub(super) rules: Rules,
    pub(super) past: Past,
}

/// Feedback on a text, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RenderedFeedback {
    /// The words of each feedback.
    pub(super) words: Vec<String>,
    /// Each with its contexts, as the pack shows them.
    pub(super) gradients: String,
}

impl RenderedFeedback {
    fn new(settings: &Settings, variable: &Variable, feedback: &[Feedback]) -> Result<Self, Error> {
        let mut gradients = Vec::new();
        for feedback in feedback {
            let mut contexts = Vec::new();
            for context in feedback.contexts() {
                let (call, response) = (context.call(), context.response());
                let (inputs, prompts) = (call.inputs(), &settings.call.prompts);
                let quote = call.op().quote(inputs);
                let call = quote_call(prompts, &quote, inputs, response, Some(variable))?;
                contexts.push(CallContext {
                    call: call.text,
                    function: call.conversation.is_none(),
                    response_role: response.role().to_string(),
                });
            }
            let (variable, feedback) = (VariableContext::new(variable), feedback.text().to_owned());
            let context = GradientContext { variable, feedback, contexts };
            gradients.push(settings.call.prompts.render("gradient", &context)?);
        }
        let words = feedback.iter().map(|feedback| feedback.text().to_owned()).collect();
        Ok(Self { words, gradients: gradients.join("\n") })
    }
}

impl UpdateRequest {
    /// About a variable and feedback on it.
    pub(super) fn new(
        settings: &Settings,
        variable: &Variable,
        feedback: &[Feedback],
    ) -> Result<Self, Error> {
        let dialogue = match feedback {
            [only] if settings.layout.is_continued() => match only.contexts() {
                [call] => call.dialogue().cloned(),
                _ => None,
            },
            _ => None,
        };
        let contexts = feedback.iter().flat_map(Feedback::contexts);
        let images = match settings.show_images {
            true => images(contexts.map(|context| &**context)),
            false => Vec::new(),
        };
        let quoted = match settings.differentiate_contexts {
            true => quoted(variable, feedback),
            false => Vec::new(),
        };
        Ok(Self {
            images,
            quoted,
            variable: variable.clone(),
            feedback: feedback.iter().map(|feedback| feedback.variable().clone()).collect(),
            rendered: RenderedFeedback::new(settings, variable, feedback)?,
            dialogue,
            rules: Rules::default(),
            past: Past::default(),
        })
    }

    /// An earlier text with the feedback on it.
    pub(super) fn again(variable: Variable, rendered: RenderedFeedback) -> Self {
        let words = rendered.words.iter();
        Self {
            variable,
            feedback: words.map(|words| Feedback::new(words.as_str()).variable().clone()).collect(),
            rendered,
            images: Vec::new(),
            quoted: Vec::new(),
            dialogue: None,
            rules: Rules::default(),
            past: Past::default(),
        }
    }

    /// The conversation that asks for it: for that many edits at most, or, if 0, for the whole text.
    pub(super) fn messages(&self, settings: &Settings, edits: u32) -> Result<Vec<Message>, Error> {
        let context = self.context(settings, edits);
        let prompts = &settings.call.prompts;
        if let Some(dialogue) = &self.dialogue {
            let last = Message::user(prompts.render("update_continue", &context)?);
            return Ok(dialogue.iter().cloned().chain([last]).collect());
        }
        let mut messages = prompts.messages("update", &context)?;
        if let Some(user) = messages.last_mut() {
            user.parts.splice(0..0, self.images.iter().cloned());
        }
        Ok(messages)
    }

    fn context(&self, settings: &Settings, edits: u32) -> UpdateContext {
        let (constraints, constraints_text) =
            numbered(settings.constraints.iter().chain(&self.rules.told));
        UpdateContext {
            variable: VariableContext::new(&self.variable),
            query: settings.query.as_deref().map(str::to_owned),
            gradients: self.rendered.gradients.clone(),
            feedback_text: self.rendered.words.join("\n"),
            feedback: self.rendered.words.clone(),
            constraints_text,
            constraints,
            examples_text: settings.examples.join("\n"),
            examples: settings.examples.clone(),
            start_tag: settings.tags.start().to_owned(),
            end_tag: settings.tags.end().to_owned(),
            edits,
            text_number: self.past.texts.len() + 1,
            past_feedback: self.past.feedback.clone(),
            past_texts: self.past.texts.clone(),
            past_responses: self.past.responses.clone(),
            rejected_changes: self.past.rejected.clone(),
        }
    }
}

/// The inputs and the responses of the calls that feedback on a variable quotes, without it and without the feedback.
fn quoted(variable: &Variable, feedback: &[Feedback]) -> Vec<Variable> {
    let mut known: HashSet<Variable> =
        feedback.iter().map(|feedback| feedback.variable().clone()).collect();
    known.insert(variable.clone());
    let contexts = feedback.iter().flat_map(Feedback::contexts);
    let texts = contexts.flat_map(|context| {
        let inputs = context.call().inputs().iter().map(|input| input.variable().clone());
        inputs.chain(context.response_variable().cloned())
    });
    let texts = texts.filter(|text| text.text().is_some());
    texts.filter(|text| known.insert(text.clone())).collect()
}

/// The images of calls, in order, each once.
fn images<'a>(contexts: impl Iterator<Item = &'a Context>) -> Vec<Part> {
    let mut images: Vec<Part> = Vec::new();
    for context in contexts {
        let call = context.call();
        let Quote::Conversation { request, .. } = call.op().quote(call.inputs()) else { continue };
        for part in request.messages.into_iter().flat_map(|message| message.parts) {
            if matches!(part, Part::Image(_)) && !images.contains(&part) {
                images.push(part);
            }
        }
    }
    images
}

/// Constraints with their numbers, and the same as text, one per line.
pub(super) fn numbered<'a>(
    constraints: impl Iterator<Item = &'a String>,
) -> (Vec<Constraint>, String) {
    let constraints: Vec<Constraint> = (1..)
        .zip(constraints)
        .map(|(number, text)| Constraint { number, text: text.clone() })
        .collect();
    let lines: Vec<String> =
        constraints.iter().map(|Constraint { number, text }| format!("{number}. {text}")).collect();
    (constraints, lines.join("\n"))
}
