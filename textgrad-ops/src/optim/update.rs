//! Asking a model for new versions of a text.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Choice, Error, Feedback, Gradient, Inputs, Layout, Message, Op, OpFailure, Output,
    Part, Purpose, Request, Seed, Variable, apply, excerpt,
};

use super::descent::TextualGradientDescentBuilder as Settings;
use crate::llm::quote_source;
use crate::prompts::{
    CallContext, Constraint, GradientContext, RetryContext, UpdateContext, VariableContext,
};

/// New versions of a text, and the answers that could not be used.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The new versions, at least one.
    pub candidates: Vec<Variable>,
    /// Answers that could not be used, in order; each was asked for again unless the bound was reached. A
    /// request that failed after some answers could be used stands here too, as the last.
    pub rejected: Vec<Rejected>,
}

/// An answer that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What was wrong.
    pub problem: String,
    /// Whether it was cut off at its longest length.
    pub cut_off: bool,
    /// The answer; empty if the request failed.
    pub text: String,
}

/// Asks for new versions of `variable`, as a call in the graph.
pub(super) async fn rewrite(
    settings: &Arc<Settings>,
    variable: &Variable,
    feedback: &[Feedback],
    seed: Option<Seed>,
) -> Result<Rewrite, crate::error::Error> {
    let rejected = Arc::new(Mutex::new(Vec::new()));
    let mut inputs: Vec<(&str, Variable)> = vec![("variable", variable.clone())];
    inputs.extend(feedback.iter().map(|feedback| ("feedback", feedback.variable().clone())));
    let op = Update {
        settings: Arc::clone(settings),
        messages: messages(settings, variable, feedback)?,
        role: Arc::clone(variable.role()),
        seed,
        rejected: Arc::clone(&rejected),
    };
    let candidates = apply(Arc::new(op), Inputs::new(inputs)).await?;
    let rejected = std::mem::take(&mut *rejected.lock().unwrap_or_else(PoisonError::into_inner));
    if candidates.is_empty() {
        let last: Option<&Rejected> = rejected.last();
        return Err(crate::error::Error::NoUpdate {
            role: variable.role().to_string(),
            requests: 1 + settings.reasks as usize,
            problem: last.map_or_else(
                || "it held nothing".to_owned(),
                |last| format!("{}; it began: {:?}", last.problem, excerpt(&last.text, 80)),
            ),
        });
    }
    Ok(Rewrite { candidates, rejected })
}

/// The request for a new text.
fn messages(
    settings: &Settings,
    variable: &Variable,
    feedback: &[Feedback],
) -> Result<Vec<Message>, Error> {
    let context = context(settings, variable, feedback)?;
    let prompts = &settings.prompts;
    if settings.layout == Layout::Continued
        && let [only] = feedback
        && let [call] = only.contexts()
        && let Some(dialogue) = &call.dialogue
    {
        let last = Message::user(prompts.render("update_continue", &context)?);
        return Ok(dialogue.iter().cloned().chain([last]).collect());
    }
    Ok(vec![
        Message::system(prompts.render("update_system", &context)?),
        Message::user(prompts.render("update", &context)?),
    ])
}

fn context(
    settings: &Settings,
    variable: &Variable,
    feedback: &[Feedback],
) -> Result<UpdateContext, Error> {
    let mut gradients = Vec::new();
    for feedback in feedback {
        let mut contexts = Vec::new();
        for context in feedback.contexts() {
            contexts.push(CallContext {
                call: quote_source(&settings.prompts, &context.source, Some(variable))?,
                function: matches!(context.source, textgrad_core::ContextSource::Function { .. }),
                response_role: context.response_role.to_string(),
            });
        }
        let (variable, feedback) = (VariableContext::new(variable), feedback.text().to_owned());
        let context = GradientContext { variable, feedback, contexts };
        gradients.push(settings.prompts.render("gradient", &context)?);
    }
    let words: Vec<String> = feedback.iter().map(|feedback| feedback.text().to_owned()).collect();
    let constraints: Vec<Constraint> = (1..)
        .zip(&settings.constraints)
        .map(|(number, text)| Constraint { number, text: text.clone() })
        .collect();
    let numbered: Vec<String> =
        constraints.iter().map(|Constraint { number, text }| format!("{number}. {text}")).collect();
    Ok(UpdateContext {
        variable: VariableContext::new(variable),
        gradients: gradients.join("\n"),
        feedback_text: words.join("\n"),
        feedback: words,
        constraints_text: numbered.join("\n"),
        constraints,
        examples_text: settings.examples.join("\n"),
        examples: settings.examples.clone(),
        start_tag: settings.tags.start().to_owned(),
        end_tag: settings.tags.end().to_owned(),
    })
}

/// The call of the model that writes new versions. Not differentiable so far: a pass ends here.
struct Update {
    settings: Arc<Settings>,
    messages: Vec<Message>,
    role: Arc<str>,
    seed: Option<Seed>,
    rejected: Arc<Mutex<Vec<Rejected>>>,
}

impl Update {
    /// One answer: a new text, or why it is none.
    fn read(&self, choice: Choice) -> Result<String, Rejected> {
        let cut_off = choice.finish_reason.is_cut_off();
        match self.settings.tags.extract(&choice.text) {
            Ok(text) if !cut_off => Ok(text.to_owned()),
            Ok(_) => Err(Rejected {
                problem: "it was cut off at its longest length".to_owned(),
                cut_off,
                text: choice.text,
            }),
            Err(error) => Err(Rejected { problem: error.to_string(), cut_off, text: choice.text }),
        }
    }

    /// The request for `missing` texts, the `attempt`-th.
    fn request(
        &self,
        attempt: u32,
        missing: u32,
        last: Option<&Rejected>,
    ) -> Result<Request, Error> {
        let mut messages = self.messages.clone();
        if let Some(last) = last
            && let Some(message) = messages.last_mut()
        {
            let context = RetryContext {
                problem: last.problem.clone(),
                cut_off: last.cut_off,
                start_tag: self.settings.tags.start().to_owned(),
                end_tag: self.settings.tags.end().to_owned(),
            };
            let note = self.settings.prompts.render("update_retry", &context)?;
            message.parts.push(Part::Text(format!("\n\n{note}")));
        }
        let place = self.seed.map(|seed| seed.child("attempt", u64::from(attempt)));
        let sampling = self.settings.sampling.clone().with_n(missing).at(place);
        Ok(Request::new(Purpose::Update, messages).with_sampling(sampling))
    }
}

#[async_trait]
impl Op for Update {
    fn name(&self) -> &str {
        "update"
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        let wanted = self.settings.candidates;
        let mut texts: Vec<String> = Vec::new();
        let mut rejected: Vec<Rejected> = Vec::new();
        let mut failure = None;
        for attempt in 0..=self.settings.reasks {
            let missing = wanted.saturating_sub(u32::try_from(texts.len()).unwrap_or(u32::MAX));
            if missing == 0 {
                break;
            }
            let request = self.request(attempt, missing, rejected.last())?;
            match self.settings.engine.complete(&request).await {
                Ok(response) => {
                    // A server that only knows one answer per request gives one here too.
                    let short = response.choices.len() < missing as usize;
                    let mut unusable = 0;
                    for choice in response.choices {
                        match self.read(choice) {
                            Ok(text) => texts.push(text),
                            Err(answer) => {
                                unusable += 1;
                                rejected.push(answer);
                            }
                        }
                    }
                    if short && unusable == 0 {
                        break;
                    }
                }
                Err(error) => {
                    rejected.push(Rejected {
                        problem: format!("the request failed: {error}"),
                        cut_off: false,
                        text: String::new(),
                    });
                    failure = Some(error);
                    break;
                }
            }
        }
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner) = rejected;
        match failure {
            // What was paid for is kept: fewer new texts are better than none.
            Some(error) if texts.is_empty() => Err(error.into()),
            _ => Ok(texts
                .into_iter()
                .map(|text| Output::new(text, Arc::clone(&self.role)).with_requires_grad(false))
                .collect()),
        }
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Self::request(self, 0, self.settings.candidates, None).ok()
    }
}
