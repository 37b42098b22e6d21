//! Requests for new versions of a text.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use textgrad_core::{
    BackwardCx, Choice, Context, Error, ErrorKind, Feedback, FinishReason, Gradient, Inputs,
    Layout, Message, Op, OpFailure, Output, Part, Purpose, Quote, Request, Seed, Variable, apply,
};

use super::descent::TextualGradientDescentBuilder as Settings;
use super::memory::Past;
use super::rules::{Rejected, Rules, broken};
use crate::llm::{FeedbackRequest, quote_call};
use crate::prompts::{
    CallContext, Constraint, GradientContext, RetryContext, UpdateContext, VariableContext,
};
use crate::tags::{CallSettings, ExtractError, NO_ANSWER, unwrap_fence, with_note};

/// New versions of a text, and the answers that could not be used.
#[derive(Debug, Clone)]
pub struct UpdateOutcome {
    /// The new versions, at least one.
    pub candidates: Vec<Variable>,
    /// Answers that could not be used, in order; each was asked for again unless the bound was reached. A reply
    /// without an answer stands here too. So does a
    /// request that failed after some answers could be used, as the last.
    pub rejected: Vec<Rejected>,
}

/// Asks for new versions of a text, as a call in the graph.
pub(super) async fn rewrite(
    settings: &Arc<Settings>,
    ask: UpdateRequest,
    seed: Option<Seed>,
) -> Result<UpdateOutcome, crate::error::Error> {
    let messages = ask.messages(settings)?;
    let role = Arc::clone(ask.variable.role());
    let base = ask.variable.text().unwrap_or_default().to_owned();
    let templates: &[&str] = match ask.dialogue {
        Some(_) => &["update_continue"],
        None => &["update_system", "update"],
    };
    let mut inputs: Vec<(&str, Variable)> = vec![("variable", ask.variable)];
    inputs.extend(ask.feedback.into_iter().map(|words| ("feedback", words)));
    if settings.create_graph {
        inputs.extend(settings.call.prompts.wording(templates, &messages, &inputs).await?);
    }
    let op = Arc::new(Update {
        settings: Arc::clone(settings),
        messages,
        role: Arc::clone(&role),
        base,
        rules: ask.rules,
        seed,
        rejected: OnceLock::new(),
    });
    let candidates = apply(Arc::clone(&op) as Arc<dyn Op>, inputs).await?;
    let rejected = op.rejected.get().cloned().unwrap_or_default();
    if !candidates.is_empty() {
        return Ok(UpdateOutcome { candidates, rejected });
    }
    let (role, requests) = (role.to_string(), 1 + settings.call.parse_retries as usize);
    // Texts there were, so it is known that this step has none to offer.
    if rejected.iter().any(|answer: &Rejected| !answer.violations.is_empty()) {
        return Err(crate::error::Error::Violations { role, requests, rejected });
    }
    let last = rejected.last().map(Rejected::summary);
    let problem = last.unwrap_or_else(|| "it held nothing".to_owned());
    Err(crate::error::Error::NoUpdate { role, requests, problem })
}

/// The call of the model that writes new versions. A pass ends here, unless the settings say that the step is part of
/// the graph: then the same model is asked for feedback on the inputs.
struct Update {
    settings: Arc<Settings>,
    messages: Vec<Message>,
    role: Arc<str>,
    /// The present text.
    base: String,
    rules: Rules,
    seed: Option<Seed>,
    /// The answers that could not be used, once it has run.
    rejected: OnceLock<Vec<Rejected>>,
}

impl Update {
    /// The text in an answer that ended, without a fence around the whole.
    fn text(&self, choice: &Choice) -> Result<String, ExtractError> {
        let text = self.settings.tags.read(choice)?;
        Ok(unwrap_fence(&text, &self.base).map(str::to_owned).unwrap_or(text))
    }

    /// One answer: a new text, or why it is none.
    ///
    /// # Errors
    /// If a check panics.
    fn read(&self, choice: Choice) -> Result<Result<String, Rejected>, Error> {
        let (problem, violations) = match self.text(&choice) {
            Ok(text) => match self.rules.violations(&text)? {
                violations if violations.is_empty() => return Ok(Ok(text)),
                violations => (broken(&violations), violations),
            },
            Err(error) => (error.to_string(), Vec::new()),
        };
        Ok(Err(Rejected::new(problem, violations, choice)))
    }

    /// The request for `missing` texts, after `attempt` others.
    fn request(
        &self,
        attempt: u32,
        missing: u32,
        last: Option<&Rejected>,
    ) -> Result<Request, Error> {
        let Settings { call, tags, .. } = &*self.settings;
        let messages = match last {
            None => self.messages.clone(),
            Some(last) => {
                let ended = Choice::new(last.text.as_str(), FinishReason::Stop);
                let text = self.text(&ended).ok().filter(|_| !last.violations.is_empty());
                let problem = if last.text.is_empty() { NO_ANSWER } else { &last.problem };
                let context = RetryContext {
                    problem: problem.to_owned(),
                    cut_off: last.cut_off,
                    attempts: attempt,
                    start_tag: tags.start().to_owned(),
                    end_tag: tags.end().to_owned(),
                    violations: last.violations.clone(),
                    text: text.unwrap_or_default(),
                };
                with_note(&self.messages, &call.prompts.render("update_retry", &context)?)
            }
        };
        let mut request = call.request(Purpose::Update, messages, self.seed, attempt);
        request.sampling.n = missing;
        Ok(request)
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
        for attempt in 0..=self.settings.call.parse_retries {
            let missing = wanted.saturating_sub(u32::try_from(texts.len()).unwrap_or(u32::MAX));
            if missing == 0 {
                break;
            }
            let request = self.request(attempt, missing, rejected.last())?;
            match self.settings.call.engine.complete(&request).await {
                Ok(response) => {
                    // A server that only knows one answer per request gives one here too.
                    let short = response.choices.len() < missing as usize;
                    let mut unusable = 0;
                    // Engines may give more than was asked for.
                    for choice in response.choices.into_iter().take(missing as usize) {
                        match self.read(choice)? {
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
                Err(error) if error.kind() == ErrorKind::NoAnswer => {
                    rejected.push(Rejected::failed(error.to_string()));
                }
                Err(error) => {
                    rejected.push(Rejected::failed(format!("the request failed: {error}")));
                    failure = Some(error);
                    break;
                }
            }
        }
        self.rejected.get_or_init(|| rejected);
        match failure {
            // What was paid for is kept: fewer new texts are better than none.
            Some(error) if texts.is_empty() => Err(error.into()),
            _ => {
                let output = |text| Output::new(text, Arc::clone(&self.role));
                // By default each step is differentiated by itself.
                Ok(texts
                    .into_iter()
                    .map(|text| match self.settings.create_graph {
                        true => output(text),
                        false => output(text).with_requires_grad(false),
                    })
                    .collect())
            }
        }
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let CallSettings { engine, prompts, sampling, .. } = &self.settings.call;
        let settings = FeedbackRequest {
            prompts: prompts.clone(),
            sampling: sampling.clone(),
            ..FeedbackRequest::new(Arc::clone(engine))
        };
        settings.send(cx).await
    }

    fn rewrites(&self, _: usize) -> Option<usize> {
        Some(0)
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Self::request(self, 0, self.settings.candidates, None).ok()
    }
}

/// A text to rewrite, and all that its request shows.
pub(super) struct UpdateRequest {
    pub(super) variable: Variable,
    /// The feedback as variables, so that the new texts stand in the graph behind it.
    pub(super) feedback: Vec<Variable>,
    pub(super) rendered: RenderedFeedback,
    /// The images of the calls that the feedback is about, each once.
    images: Vec<Part>,
    /// The one exchange that the feedback came out of, if the request is to continue it.
    dialogue: Option<Arc<[Message]>>,
    pub(super) rules: Rules,
    pub(super) past: Past,
}

/// What was said about a text, in words.
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
            [only] if settings.layout == Layout::Continued => match only.contexts() {
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
        Ok(Self {
            images,
            variable: variable.clone(),
            feedback: feedback.iter().map(|feedback| feedback.variable().clone()).collect(),
            rendered: RenderedFeedback::new(settings, variable, feedback)?,
            dialogue,
            rules: Rules::default(),
            past: Past::default(),
        })
    }

    /// About an earlier text and what was said about it then.
    pub(super) fn again(variable: Variable, rendered: RenderedFeedback) -> Self {
        let words = rendered.words.iter();
        Self {
            variable,
            feedback: words.map(|words| Feedback::new(words.as_str()).variable().clone()).collect(),
            rendered,
            images: Vec::new(),
            dialogue: None,
            rules: Rules::default(),
            past: Past::default(),
        }
    }

    /// The conversation that asks for it.
    pub(super) fn messages(&self, settings: &Settings) -> Result<Vec<Message>, Error> {
        let context = self.context(settings);
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
