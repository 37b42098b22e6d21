//! Requests for a value between two tags: a grade, a verdict.

use std::fmt;
use std::sync::Arc;

use textgrad_core::{
    Choice, Engine, Error, FinishReason, Message, Part, Purpose, Request, Sampling, Seed,
};

use crate::optim::Tags;
use crate::prompts::RetryContext;
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
/// let reply = ask.ask(question, None, number, |reply| Ok(format!("{}: again", reply.problem))).await?;
/// assert_eq!((reply.value, reply.unreadable), (Ok(5), 1));
/// assert!(engine.requests()[1].messages[0].text().ends_with("<N> was missing: again"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct TaggedRequest {
    engine: Arc<dyn Engine>,
    tags: Tags,
    sampling: Sampling,
    seed: Option<Seed>,
    parse_retries: u32,
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

    /// Asks this engine for a value between these tags.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, tags: Tags) -> Self {
        Self {
            engine,
            tags,
            sampling: Sampling::default(),
            seed: None,
            parse_retries: Self::DEFAULT_PARSE_RETRIES,
        }
    }

    /// Sampling parameters of replies; `n` is ignored.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling.with_n(1);
        self
    }

    /// Derives a seed for each request from this seed, the messages and the number of the vote. Default: the
    /// seed of the sampling parameters.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Retries of a reply that cannot be parsed. Default: [`TaggedRequest::DEFAULT_PARSE_RETRIES`].
    #[must_use]
    pub fn parse_retries(mut self, parse_retries: u32) -> Self {
        self.parse_retries = parse_retries;
        self
    }

    /// Sends the messages and parses the text between the tags, trimmed. `vote` numbers equal requests; `read`
    /// gets the text and the whole choice; `retry` writes the note that is added to the last message of a retry.
    ///
    /// # Errors
    /// That of the engine, or of `retry`.
    pub async fn ask<T>(
        &self,
        messages: Vec<Message>,
        vote: Option<u32>,
        read: impl Fn(&str, &Choice) -> Result<T, String>,
        retry: impl Fn(&RetryContext) -> Result<String, Error>,
    ) -> Result<TaggedReply<T>, Error> {
        let mut request = Request::new(Purpose::Judge, messages.clone());
        // A judge does not know its position in a run: the seed is derived from the request.
        let place = self.seed.map(|seed| {
            let seed =
                seed.child("judge", request_key(self.engine.name(), &request).seed().value());
            vote.map_or(seed, |vote| seed.child("vote", u64::from(vote)))
        });
        let mut problem = String::new();
        for attempt in 0..=self.parse_retries {
            let seed = place.map(|place| place.child("attempt", u64::from(attempt)));
            request.sampling = self.sampling.clone().at(seed);
            let response = self.engine.complete(&request).await?;
            let nothing = || Choice::new("", FinishReason::Stop);
            let choice = response.choices.into_iter().next().unwrap_or_else(nothing);
            let found = self.tags.extract(&choice.text).map_err(|error| error.to_string());
            match found.and_then(|text| read(text, &choice)) {
                Ok(value) => return Ok(TaggedReply { value: Ok(value), unreadable: attempt }),
                Err(found) => problem = found,
            }
            let note = retry(&RetryContext {
                problem: problem.clone(),
                cut_off: choice.finish_reason.is_cut_off(),
                attempts: attempt + 1,
                violations: Vec::new(),
                text: String::new(),
                start_tag: self.tags.start().to_owned(),
                end_tag: self.tags.end().to_owned(),
            })?;
            request.messages.clone_from(&messages);
            if let Some(last) = request.messages.last_mut() {
                last.parts.push(Part::Text(format!("\n\n{note}")));
            }
        }
        Ok(TaggedReply { value: Err(problem), unreadable: self.parse_retries.saturating_add(1) })
    }
}

impl fmt::Debug for TaggedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaggedRequest")
            .field("engine", &self.engine.name())
            .field("tags", &self.tags)
            .field("parse_retries", &self.parse_retries)
            .finish_non_exhaustive()
    }
}
