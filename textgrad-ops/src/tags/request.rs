//! Requests for a value between two tags: a grade, a verdict.

use std::sync::Arc;

use derive_setters::Setters;
use textgrad_core::{
    Choice, Engine, Error, ErrorKind, FinishReason, Message, Part, Purpose, Request, Sampling, Seed,
};

use super::Tags;
use crate::llm::FeedbackRequest;
use crate::optim::{GraphOptimizerBuilder, TextualGradientDescentBuilder};
use crate::prompts::{Prompts, RetryContext};
use crate::score::LlmJudgeBuilder;
use crate::store::request_key;

/// Policy for a verdict that cannot be parsed after all retries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is an error.
    #[default]
    Fail,
    /// It counts as the worst verdict; in a comparison, as a tie.
    Worst,
    /// It does not count.
    Skip,
    /// It counts as this score.
    Score(f64),
}

impl Unreadable {
    /// The score of a verdict that cannot be parsed: `None` if it does not count.
    ///
    /// # Errors
    /// That of `problem`, by [`Unreadable::Fail`].
    pub fn resolve<E>(self, worst: f64, problem: impl FnOnce() -> E) -> Result<Option<f64>, E> {
        match self {
            Self::Fail => Err(problem()),
            Self::Worst => Ok(Some(worst)),
            Self::Skip => Ok(None),
            Self::Score(score) => Ok(Some(score)),
        }
    }
}

/// How a model is asked for a tagged reply.
#[derive(Debug, Clone, Setters)]
#[setters(generate_delegates(ty = "LlmJudgeBuilder", field = "call"))]
#[setters(generate_delegates(ty = "GraphOptimizerBuilder", field = "call"))]
#[setters(generate_delegates(ty = "TaggedRequest", field = "call"))]
#[setters(generate_delegates(ty = "TextualGradientDescentBuilder", field = "call"))]
pub(crate) struct CallSettings {
    #[setters(skip)]
    pub(crate) engine: Arc<dyn Engine>,
    /// The templates of the requests.
    #[setters(into)]
    pub(crate) prompts: Prompts,
    /// Sampling parameters of the replies; `n` is ignored.
    pub(crate) sampling: Sampling,
    /// Derives a seed for each request from this one. Default: the seed of the sampling parameters.
    #[setters(strip_option)]
    pub(crate) seed: Option<Seed>,
    /// Retries of a reply that cannot be parsed. Default: [`TaggedRequest::DEFAULT_PARSE_RETRIES`].
    pub(crate) parse_retries: u32,
}

impl CallSettings {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            prompts: Prompts::default(),
            sampling: Sampling::default(),
            seed: None,
            parse_retries: TaggedRequest::DEFAULT_PARSE_RETRIES,
        }
    }

    /// The request for feedback on the inputs of such a call.
    pub(crate) fn feedback(&self) -> FeedbackRequest {
        let (prompts, sampling) = (self.prompts.clone(), self.sampling.clone());
        FeedbackRequest { prompts, sampling, ..FeedbackRequest::new(Arc::clone(&self.engine)) }
    }

    /// A request for one reply, with the seed of an attempt.
    pub(crate) fn request(
        &self,
        purpose: Purpose,
        messages: Vec<Message>,
        seed: Option<Seed>,
        attempt: u32,
    ) -> Request {
        let seed = seed.map(|seed| seed.child("attempt", u64::from(attempt)));
        let sampling = self.sampling.clone().with_n(1).at(seed);
        Request::new(purpose, messages).with_sampling(sampling)
    }
}

/// The problem in the note to a model whose reply has no answer ([`ErrorKind::NoAnswer`]).
pub(crate) const NO_ANSWER: &str = "it held no answer, or its reasoning did not end";

/// A conversation with a note on the last reply added to its last message.
pub(crate) fn with_note(messages: &[Message], note: &str) -> Vec<Message> {
    let mut messages = messages.to_vec();
    if let Some(last) = messages.last_mut() {
        // One text: the chat templates of some servers take no list of parts.
        match last.parts.last_mut() {
            Some(Part::Text(text)) => *text = format!("{text}\n\n{note}").into(),
            _ => last.parts.push(Part::Text(format!("\n\n{note}").into())),
        }
    }
    messages
}

/// Asks a model for a value between two tags: a grade, a verdict. A reply that cannot be parsed is retried with
/// the problem added to the request.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::Message;
/// use textgrad_ops::Tags;
/// use textgrad_ops::score::TaggedRequest;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Five!", "<N>5</N>"]));
/// let ask = TaggedRequest::new(engine.clone(), Tags::new("<N>", "</N>")?);
/// let number = |text: &str, _: &_| text.parse::<u32>().map_err(|_| format!("{text:?} is no number"));
/// let question = vec![Message::user("2 + 3?")];
/// let reply = ask.ask(question, None, number, "judge_retry").await?;
/// assert_eq!((reply.value, reply.unreadable), (Ok(5), 1));
/// assert!(engine.requests()[1].messages[0].text().contains("the opening tag <N> was missing"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TaggedRequest {
    pub(crate) call: CallSettings,
    pub(crate) tags: Tags,
    pub(crate) bare_values: bool,
}

/// The outcome of a [`TaggedRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedReply<T> {
    /// The value, or the problem of the last reply.
    pub value: Result<T, String>,
    /// Number of replies that could not be parsed.
    pub unreadable: u32,
}

impl TaggedRequest {
    /// Default number of retries.
    pub const DEFAULT_PARSE_RETRIES: u32 = 2;

    /// Asks this engine for a value between these tags. With a [`seed`](Self::seed), the seed of each request is
    /// derived from that, the messages and the number of the vote.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, tags: Tags) -> Self {
        Self { call: CallSettings::new(engine), tags, bare_values: false }
    }

    /// Accepts a reply that is the value alone or lacks one tag, if the reader accepts that text. Default: no.
    #[must_use]
    pub fn bare_values(self, bare_values: bool) -> Self {
        Self { bare_values, ..self }
    }

    /// Sends the messages and parses the text between the tags, trimmed. `vote` numbers equal requests; `read`
    /// gets the text and the whole choice; `retry` names the template of the note that is added to the last
    /// message of a retry ([`RetryContext`]). A reply that did not end or has no answer has no value, nor has one with
    /// two different values.
    ///
    /// # Errors
    /// That of the engine or of the template.
    pub async fn ask<T: PartialEq>(
        &self,
        messages: Vec<Message>,
        vote: Option<u32>,
        read: impl Fn(&str, &Choice) -> Result<T, String>,
        retry: &str,
    ) -> Result<TaggedReply<T>, Error> {
        let CallSettings { engine, prompts, parse_retries, .. } = &self.call;
        // A judge does not know its position in a run: the seed is derived from the request.
        let seed = self.call.seed.map(|seed| {
            let plain = Request::new(Purpose::Judge, messages.clone());
            let seed = seed.child("judge", request_key(engine.name(), &plain).seed().value());
            vote.map_or(seed, |vote| seed.child("vote", u64::from(vote)))
        });
        let mut asked = messages.clone();
        let mut problem = String::new();
        for attempt in 0..=*parse_retries {
            let request = self.call.request(Purpose::Judge, asked, seed, attempt);
            let (note, cut_off) = match engine.complete(&request).await {
                Ok(response) => {
                    let nothing = || Choice::new("", FinishReason::Stop);
                    let choice = response.choices.into_iter().next().unwrap_or_else(nothing);
                    let value = |text: &str| read(text, &choice);
                    match self.tags.read_value(&choice, self.bare_values, value) {
                        Ok(value) => {
                            return Ok(TaggedReply { value: Ok(value), unreadable: attempt });
                        }
                        Err(found) => problem = found,
                    }
                    (problem.clone(), choice.finish_reason.is_cut_off())
                }
                Err(error) if error.kind() == ErrorKind::NoAnswer => {
                    problem = error.to_string();
                    (NO_ANSWER.to_owned(), false)
                }
                Err(error) => return Err(error.into()),
            };
            let context = RetryContext {
                problem: note,
                cut_off,
                attempts: attempt + 1,
                violations: Vec::new(),
                text: String::new(),
                start_tag: self.tags.start().to_owned(),
                end_tag: self.tags.end().to_owned(),
            };
            asked = with_note(&messages, &prompts.render(retry, &context)?);
        }
        Ok(TaggedReply { value: Err(problem), unreadable: parse_retries.saturating_add(1) })
    }
}
