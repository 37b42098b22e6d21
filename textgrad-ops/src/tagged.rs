//! Asking a model for something between tags, until it can be read.

use std::fmt;
use std::sync::Arc;

use textgrad_core::{
    Choice, Engine, Error, FinishReason, Message, Part, Purpose, Request, Sampling, Seed,
};

use crate::optim::Tags;
use crate::prompts::RetryContext;

/// Asks a model for something that stands between two tags of its reply: a grade, a verdict. A reply that can
/// not be read is asked for again, with what was wrong.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Message, Purpose};
/// use textgrad_ops::{TaggedAsk, Tags};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Five!", "<N>5</N>"]));
/// let ask = TaggedAsk::new(engine.clone(), Tags::new("<N>", "</N>")?);
/// let number = |text: &str, _: &_| text.parse::<u32>().map_err(|_| format!("{text:?} is no number"));
/// let question = vec![Message::user("2 + 3?")];
/// let read = ask.ask(Purpose::Judge, question, None, number, |reply| Ok(format!("{}: again", reply.problem)));
/// let read = read.await?;
/// assert_eq!(read, Ok(5));
/// assert!(engine.requests()[1].messages[0].text().ends_with("<N> was missing: again"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct TaggedAsk {
    engine: Arc<dyn Engine>,
    tags: Tags,
    sampling: Sampling,
    parse_retries: u32,
}

impl TaggedAsk {
    /// How often an unusable reply is asked for again, unless said otherwise.
    pub const DEFAULT_PARSE_RETRIES: u32 = 2;

    /// Asks this engine for what stands between these tags.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, tags: Tags) -> Self {
        Self {
            engine,
            tags,
            sampling: Sampling::default(),
            parse_retries: Self::DEFAULT_PARSE_RETRIES,
        }
    }

    /// How replies are drawn; one whatever its `n` says.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling.with_n(1);
        self
    }

    /// How often an unusable reply is asked for again; [`TaggedAsk::DEFAULT_PARSE_RETRIES`] unless said otherwise.
    #[must_use]
    pub fn parse_retries(mut self, parse_retries: u32) -> Self {
        self.parse_retries = parse_retries;
        self
    }

    /// Asks, and reads what stands between the tags, without the white space around it, and the whole reply
    /// where that matters. `place` gives each
    /// attempt a seed of its own; `retry` words what is added to the last message of an attempt that follows
    /// another.
    ///
    /// What was wrong with the last reply is returned as the inner error: no reply could be read.
    ///
    /// # Errors
    /// That of the engine, or of `retry`.
    pub async fn ask<T>(
        &self,
        purpose: Purpose,
        messages: Vec<Message>,
        place: Option<Seed>,
        read: impl Fn(&str, &Choice) -> Result<T, String>,
        retry: impl Fn(&RetryContext) -> Result<String, Error>,
    ) -> Result<Result<T, String>, Error> {
        let mut request = Request::new(purpose, messages.clone());
        let mut problem = String::new();
        for attempt in 0..=self.parse_retries {
            let seed = place.map(|place| place.child("attempt", u64::from(attempt)));
            request.sampling = self.sampling.clone().at(seed);
            let response = self.engine.complete(&request).await?;
            let nothing = || Choice::new("", FinishReason::Stop);
            let choice = response.choices.into_iter().next().unwrap_or_else(nothing);
            let cut_off = choice.finish_reason.is_cut_off();
            let found = self.tags.extract(&choice.text).map_err(|error| error.to_string());
            match found.and_then(|text| read(text, &choice)) {
                Ok(read) => return Ok(Ok(read)),
                Err(found) => problem = found,
            }
            let note = retry(&RetryContext {
                problem: problem.clone(),
                cut_off,
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
        Ok(Err(problem))
    }
}

impl fmt::Debug for TaggedAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaggedAsk")
            .field("engine", &self.engine.name())
            .field("tags", &self.tags)
            .field("parse_retries", &self.parse_retries)
            .finish_non_exhaustive()
    }
}
