//! Requests for a new version of a text.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use textgrad_core::{Error, Feedback, Layout, Message, Variable};

use crate::llm::quote_call;
use crate::optim::descent::TextualGradientDescentBuilder as Settings;
use crate::optim::memory::Past;
use crate::optim::rules::Rules;
use crate::prompts::{CallContext, Constraint, GradientContext, UpdateContext, VariableContext};

/// A text to rewrite, and all that its request shows.
pub(crate) struct UpdateRequest {
    pub(crate) variable: Variable,
    /// The feedback as variables, so that the new texts stand in the graph behind it.
    pub(crate) feedback: Vec<Variable>,
    pub(crate) rendered: RenderedFeedback,
    /// The one exchange that the feedback came out of, if the request is to continue it.
    dialogue: Option<Arc<[Message]>>,
    pub(crate) rules: Rules,
    pub(crate) past: Past,
}

/// What was said about a text, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenderedFeedback {
    /// The words of each feedback.
    pub(crate) words: Vec<String>,
    /// Each with its contexts, as the pack shows them.
    pub(crate) gradients: String,
}

impl RenderedFeedback {
    fn new(settings: &Settings, variable: &Variable, feedback: &[Feedback]) -> Result<Self, Error> {
        let mut gradients = Vec::new();
        for feedback in feedback {
            let mut contexts = Vec::new();
            for context in feedback.contexts() {
                let (call, response) = (context.call(), context.response());
                let (inputs, prompts) = (call.inputs(), &settings.prompts);
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
            gradients.push(settings.prompts.render("gradient", &context)?);
        }
        let words = feedback.iter().map(|feedback| feedback.text().to_owned()).collect();
        Ok(Self { words, gradients: gradients.join("\n") })
    }
}

impl UpdateRequest {
    /// About a variable and feedback on it.
    pub(crate) fn new(
        settings: &Settings,
        variable: &Variable,
        feedback: &[Feedback],
    ) -> Result<Self, Error> {
        let dialogue = match feedback {
            [only] if settings.layout == Layout::Continued => match only.contexts() {
                [call] => call.dialogue().cloned(),
                _ => None,
            },
            _ => None,
        };
        Ok(Self {
            variable: variable.clone(),
            feedback: feedback.iter().map(|feedback| feedback.variable().clone()).collect(),
            rendered: RenderedFeedback::new(settings, variable, feedback)?,
            dialogue,
            rules: Rules::default(),
            past: Past::default(),
        })
    }

    /// About an earlier text and what was said about it then.
    pub(crate) fn again(variable: Variable, rendered: RenderedFeedback) -> Self {
        let words = rendered.words.iter();
        Self {
            variable,
            feedback: words.map(|words| Feedback::new(words.as_str()).variable().clone()).collect(),
            rendered,
            dialogue: None,
            rules: Rules::default(),
            past: Past::default(),
        }
    }

    /// The conversation that asks for it.
    pub(super) fn messages(&self, settings: &Settings) -> Result<Vec<Message>, Error> {
        let context = self.context(settings);
        let prompts = &settings.prompts;
        if let Some(dialogue) = &self.dialogue {
            let last = Message::user(prompts.render("update_continue", &context)?);
            return Ok(dialogue.iter().cloned().chain([last]).collect());
        }
        Ok(vec![
            Message::system(prompts.render("update_system", &context)?),
            Message::user(prompts.render("update", &context)?),
        ])
    }

    fn context(&self, settings: &Settings) -> UpdateContext {
        let (constraints, constraints_text) =
            numbered(settings.constraints.iter().chain(&self.rules.told));
        UpdateContext {
            variable: VariableContext::new(&self.variable),
            gradients: self.rendered.gradients.clone(),
            feedback_text: self.rendered.words.join("\n"),
            feedback: self.rendered.words.clone(),
            constraints_text,
            constraints,
            examples_text: settings.examples.join("\n"),
            examples: settings.examples.clone(),
            start_tag: settings.tags.start().to_owned(),
            end_tag: settings.tags.end().to_owned(),
            text_number: self.past.texts.len() + 1,
            past_feedback: self.past.feedback.clone(),
            past_texts: self.past.texts.clone(),
            past_responses: self.past.responses.clone(),
        }
    }
}

/// Constraints with their numbers, and the same as text, one per line.
pub(crate) fn numbered<'a>(
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
