//! Asking a model for new versions of a text.

mod ask;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Choice, Error, Gradient, Inputs, Message, Op, OpFailure, Output, Part, Purpose,
    Request, Seed, Variable, apply, truncate,
};

pub(super) use self::ask::{RenderedFeedback, UpdateRequest, numbered};
use super::descent::TextualGradientDescentBuilder as Settings;
use super::rules::{Rules, Violation, broken};
use super::tags::Tags;
use crate::prompts::{BrokenRule, RetryContext};

/// New versions of a text, and the answers that could not be used.
#[derive(Debug, Clone)]
pub struct UpdateOutcome {
    /// The new versions, at least one.
    pub candidates: Vec<Variable>,
    /// Answers that could not be used, in order; each was asked for again unless the bound was reached. A
    /// request that failed after some answers could be used stands here too, as the last.
    pub rejected: Vec<Rejected>,
}

/// Asks for new versions of a text, as a call in the graph.
pub(super) async fn rewrite(
    settings: &Arc<Settings>,
    ask: UpdateRequest,
    seed: Option<Seed>,
) -> Result<UpdateOutcome, crate::error::Error> {
    let rejected = Arc::new(Mutex::new(Vec::new()));
    let messages = ask.messages(settings)?;
    let role = Arc::clone(ask.variable.role());
    let mut inputs: Vec<(&str, Variable)> = vec![("variable", ask.variable)];
    inputs.extend(ask.feedback.into_iter().map(|words| ("feedback", words)));
    let op = Update {
        settings: Arc::clone(settings),
        messages,
        role: Arc::clone(&role),
        rules: ask.rules,
        seed,
        rejected: Arc::clone(&rejected),
    };
    let candidates = apply(Arc::new(op), Inputs::new(inputs)).await?;
    let rejected = std::mem::take(&mut *rejected.lock().unwrap_or_else(PoisonError::into_inner));
    if !candidates.is_empty() {
        return Ok(UpdateOutcome { candidates, rejected });
    }
    let (role, requests) = (role.to_string(), 1 + settings.parse_retries as usize);
    // Texts there were, so it is known that this step has none to offer.
    if rejected.iter().any(|answer: &Rejected| !answer.violations.is_empty()) {
        return Err(crate::error::Error::Violations { role, requests, rejected });
    }
    let last = rejected.last().map(Rejected::summary);
    let problem = last.unwrap_or_else(|| "it held nothing".to_owned());
    Err(crate::error::Error::NoUpdate { role, requests, problem })
}

/// The call of the model that writes new versions. Not differentiable so far: a pass ends here.
struct Update {
    settings: Arc<Settings>,
    messages: Vec<Message>,
    role: Arc<str>,
    rules: Rules,
    seed: Option<Seed>,
    rejected: Arc<Mutex<Vec<Rejected>>>,
}

impl Update {
    /// One answer: a new text, or why it is none.
    ///
    /// # Errors
    /// If a check panics.
    fn read(&self, choice: Choice) -> Result<Result<String, Rejected>, Error> {
        let cut_off = choice.finish_reason.is_cut_off();
        Ok(match self.settings.tags.extract(&choice.text) {
            Ok(_) if cut_off => {
                Err(Rejected::cut_off("it was cut off at its longest length", choice.text))
            }
            Ok(text) => match self.rules.violations(text)? {
                violations if violations.is_empty() => Ok(text.to_owned()),
                violations => Err(Rejected::violating(violations, choice.text)),
            },
            Err(error) if cut_off => Err(Rejected::cut_off(error.to_string(), choice.text)),
            Err(error) => Err(Rejected::unusable(error.to_string(), choice.text)),
        })
    }

    /// The request for `missing` texts, after `attempt` others.
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
            let tags = &self.settings.tags;
            let text =
                if last.violations.is_empty() { None } else { tags.extract(&last.text).ok() };
            let context = last.retry(tags, attempt, text.unwrap_or_default());
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
        for attempt in 0..=self.settings.parse_retries {
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
                Err(error) => {
                    let problem = format!("the request failed: {error}");
                    rejected.push(Rejected::unusable(problem, String::new()));
                    failure = Some(error);
                    break;
                }
            }
        }
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner) = rejected;
        match failure {
            // What was paid for is kept: fewer new texts are better than none.
            Some(error) if texts.is_empty() => Err(error.into()),
            // New texts require no gradient, so that a later backward pass ends here and each step is
            // differentiated by itself. To differentiate through an update, change this flag.
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

/// An answer that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// What was wrong.
    pub problem: String,
    /// Whether it was cut off at its longest length.
    pub cut_off: bool,
    /// The rules that its text breaks, if that is what was wrong.
    pub violations: Vec<Violation>,
    /// The answer; empty if the request failed.
    pub text: String,
}

impl Rejected {
    pub(crate) fn unusable(problem: impl Into<String>, text: String) -> Self {
        Self { problem: problem.into(), cut_off: false, violations: Vec::new(), text }
    }

    pub(crate) fn cut_off(problem: impl Into<String>, text: String) -> Self {
        Self { cut_off: true, ..Self::unusable(problem, text) }
    }

    pub(crate) fn violating(violations: Vec<Violation>, text: String) -> Self {
        Self { problem: broken(&violations), cut_off: false, violations, text }
    }

    /// What was wrong, and how it began.
    pub(crate) fn summary(&self) -> String {
        format!("{}; it began: {:?}", self.problem, truncate(&self.text, 80))
    }

    /// What the note to a repeated request is made of. `text` is the new text in it, if it had one.
    pub(crate) fn retry(&self, tags: &Tags, attempts: u32, text: &str) -> RetryContext {
        let violations = self.violations.iter();
        RetryContext {
            problem: self.problem.clone(),
            cut_off: self.cut_off,
            attempts,
            start_tag: tags.start().to_owned(),
            end_tag: tags.end().to_owned(),
            violations: violations
                .map(|Violation { rule, problem }| BrokenRule {
                    rule: rule.clone(),
                    problem: problem.clone(),
                })
                .collect(),
            text: text.to_owned(),
        }
    }
}
