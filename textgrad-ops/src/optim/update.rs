//! Requests for new versions of a text.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Choice, Error, ErrorKind, FinishReason, Format, Gradient, Inputs, Layout, Message,
    Op, OpFailure, Output, Purpose, Request, Seed, Variable, apply,
};

use super::descent::TextualGradientDescentBuilder as Settings;
use super::edits::{apply_edits, is_editable};
use super::rules::{Rejected, Rules, broken, grammar};
use super::shown::UpdateRequest;
use crate::prompts::RetryContext;
use crate::tags::{Marks, NO_ANSWER, unwrap_fence, with_note};

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
    let messages = ask.messages(settings, 0)?;
    let role = Arc::clone(ask.variable.role());
    let base: Arc<str> = ask.variable.text().unwrap_or_default().into();
    let edits = Some(settings.edits).filter(|edits| *edits > 0 && is_editable(&base));
    let for_edits = edits.map(|edits| ask.messages(settings, edits)).transpose()?;
    let templates: &[&str] = match ask.dialogue {
        Some(_) => &["update_continue"],
        None => &["update_system", "update"],
    };
    let mut inputs: Vec<(&str, Variable)> = vec![("variable", ask.variable)];
    inputs.extend(ask.feedback.into_iter().map(|words| ("feedback", words)));
    if settings.create_graph {
        inputs.extend(ask.quoted.into_iter().map(|quoted| ("context", quoted)));
        let asked = for_edits.as_ref().unwrap_or(&messages);
        inputs.extend(settings.call.prompts.wording(templates, asked, &inputs).await?);
    }
    let op = Arc::new(Update {
        settings: Arc::clone(settings),
        marks: Marks::of(&messages, settings.tags.clone()),
        messages,
        for_edits,
        role: Arc::clone(&role),
        base,
        rules: ask.rules,
        seed,
        rejected: OnceLock::new(),
        dialogues: OnceLock::new(),
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

/// The messages of a request, and the reply.
type Exchange = (Arc<[Message]>, String);

/// The call of the model that writes new versions. A pass ends here, unless the settings say that the step is part of
/// the graph: then the same model is asked for feedback on the inputs.
struct Update {
    settings: Arc<Settings>,
    /// The request for a whole text.
    messages: Vec<Message>,
    /// Its marks, which no new text has.
    marks: Marks,
    /// The first request, if that is for edits.
    for_edits: Option<Vec<Message>>,
    role: Arc<str>,
    /// The present text.
    base: Arc<str>,
    rules: Rules,
    seed: Option<Seed>,
    /// The answers that could not be used, once it has run.
    rejected: OnceLock<Vec<Rejected>>,
    /// The request and the reply of each new text, once it has run, in a layout that goes on from there.
    dialogues: OnceLock<Vec<Option<Exchange>>>,
}

impl Update {
    /// The text in an answer that ended: after its edits, or whole, without a fence around it.
    fn text(&self, choice: &Choice) -> Result<String, String> {
        if self.for_edits.is_some()
            && choice.finish_reason.is_end()
            && let Some(text) = apply_edits(&self.base, &choice.text, self.settings.edits)?
        {
            return Ok(text);
        }
        let text = self.settings.tags.read(choice).map_err(|error| error.to_string())?;
        Ok(unwrap_fence(&text, &self.base).map(str::to_owned).unwrap_or(text))
    }

    /// One answer: a new text, or why it is none.
    ///
    /// # Errors
    /// If a check panics.
    fn read(&self, choice: Choice) -> Result<Result<String, Rejected>, Error> {
        let (problem, violations) = match self.text(&choice) {
            Ok(text) => match self.marks.copied(&text, &self.base) {
                Some(problem) => (problem, Vec::new()),
                None => match self.rules.violations(&text)? {
                    violations if violations.is_empty() => return Ok(Ok(text)),
                    violations => (broken(&violations), violations),
                },
            },
            Err(problem) => (problem, Vec::new()),
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
            None => self.for_edits.as_ref().unwrap_or(&self.messages).clone(),
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
        let for_edits = last.is_none() && self.for_edits.is_some();
        if !for_edits {
            request.prediction = Some(Arc::clone(&self.base));
        }
        if self.settings.constrained_decoding {
            let grammar = grammar(tags, for_edits.then_some(self.settings.edits));
            request.format = Some(Format::grammar(grammar));
        }
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
        let mut dialogues = Vec::new();
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
                    let is_chained = self.settings.layout == Layout::Chained;
                    let messages: Arc<[Message]> = match is_chained {
                        true => request.messages.into(),
                        false => Arc::default(),
                    };
                    // Engines may give more than was asked for.
                    for choice in response.choices.into_iter().take(missing as usize) {
                        let reply = is_chained.then(|| choice.text.clone());
                        match self.read(choice)? {
                            Ok(text) => {
                                // A reply of edits does not show the text that they make.
                                let reply = reply.filter(|reply| reply.contains(&text));
                                dialogues.push(reply.map(|reply| (Arc::clone(&messages), reply)));
                                texts.push(text);
                            }
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
        self.dialogues.get_or_init(|| dialogues);
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
        self.settings.call.feedback().send(cx).await
    }

    fn rewrites(&self, _: usize) -> Option<usize> {
        Some(0)
    }

    fn dialogue(&self, output: usize) -> Option<Vec<Message>> {
        let (messages, reply) = self.dialogues.get()?.get(output)?.as_ref()?;
        Some(messages.iter().cloned().chain([Message::assistant(reply.as_str())]).collect())
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Self::request(self, 0, self.settings.candidates, None).ok()
    }
}
