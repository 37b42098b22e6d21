//! A scripted engine: gives scripted answers and records the requests.
//!
//! Tests of ops, losses and optimizers assert on what was *sent*, not only on what came back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::engine::{
    Choice, Engine, EngineError, EngineInfo, ErrorKind, FinishReason, Purpose, Request, Response,
};

/// One scripted answer.
#[derive(Debug, Clone)]
pub struct Reply(Result<Response, EngineError>);

impl Reply {
    /// One whole answer.
    pub fn text(text: impl Into<String>) -> Self {
        Self::texts([text])
    }

    /// Several whole answers to one request.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::choices(texts.into_iter().map(|text| Choice::new(text, FinishReason::Stop)))
    }

    /// Answers with their finish reasons.
    pub fn choices(choices: impl IntoIterator<Item = Choice>) -> Self {
        Self(Ok(Response::new(choices.into_iter().collect())))
    }

    /// A failure.
    #[must_use]
    pub fn error(error: EngineError) -> Self {
        Self(Err(error))
    }
}

impl<T: Into<String>> From<T> for Reply {
    fn from(text: T) -> Self {
        Self::text(text)
    }
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<(Option<Purpose>, Reply)>,
    requests: Vec<Request>,
}

/// An engine that follows a script.
///
/// Each request takes the first reply left that is for its purpose, or for any. A request for which no reply
/// is left fails with a final error that says so: a test never hangs and never sees an answer twice.
///
/// # Examples
/// ```
/// # use textgrad_core::testing::ScriptedEngine;
/// # use textgrad_core::{Engine, Message, Purpose, Request};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = ScriptedEngine::new(["first"]).on(Purpose::Update, "an update");
/// let request = Request::new(Purpose::Update, [Message::user("hello")]);
/// assert_eq!(engine.complete(&request).await?.choices[0].text, "first");
/// assert_eq!(engine.complete(&request).await?.choices[0].text, "an update");
/// assert!(engine.complete(&request).await.is_err());
/// assert_eq!(engine.requests().len(), 3);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct ScriptedEngine {
    state: Mutex<State>,
}

impl ScriptedEngine {
    /// An engine that gives these replies, in this order, to whatever it is asked.
    pub fn new<R: Into<Reply>>(replies: impl IntoIterator<Item = R>) -> Self {
        let script = replies.into_iter().map(|reply| (None, reply.into())).collect();
        Self { state: Mutex::new(State { script, requests: Vec::new() }) }
    }

    /// Adds a reply for requests of one purpose.
    #[must_use]
    pub fn on(self, purpose: Purpose, reply: impl Into<Reply>) -> Self {
        self.state().script.push_back((Some(purpose), reply.into()));
        self
    }

    /// What was asked so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// How many replies are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.state().script.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Engine for ScriptedEngine {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("scripted");
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let mut state = self.state();
        state.requests.push(request.clone());
        let position = state
            .script
            .iter()
            .position(|(purpose, _)| purpose.is_none_or(|purpose| purpose == request.purpose));
        match position.and_then(|position| state.script.remove(position)) {
            Some((_, reply)) => reply.0,
            None => Err(EngineError::new(
                ErrorKind::Other,
                format!(
                    "the script has no reply left for request {} (purpose {})",
                    state.requests.len(),
                    request.purpose
                ),
            )),
        }
    }
}
