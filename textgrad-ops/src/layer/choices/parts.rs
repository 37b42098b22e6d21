//! A store of single choices, for calls that may be interrupted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{EngineError, Request, Response};

/// Keeps the parts of a request for several choices, so that a call that was interrupted asks only for the rest when
/// it is repeated. Active for the calls within [`with_choice_store`].
#[async_trait]
pub trait ChoiceStore: Send + Sync {
    /// The response of an engine that was kept for a part of a request. Repeated calls return the same.
    fn recall(&self, engine: &str, request: &Request, part: ChoicePart) -> Option<Response>;

    /// Keeps the response of an engine to a part of a request. The part is delivered once this returns.
    ///
    /// # Errors
    /// An [`EngineError`] where it cannot be kept: the part fails with it.
    async fn keep(
        &self,
        engine: &str,
        request: &Request,
        part: ChoicePart,
        response: &Response,
    ) -> Result<(), EngineError>;
}

impl fmt::Debug for dyn ChoiceStore + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChoiceStore")
    }
}

/// A part of a request for several choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChoicePart {
    /// The several, but not all, choices of one response to the whole request.
    First,
    /// One choice, asked for with the seed of the request plus this.
    Single(u64),
}

tokio::task_local! {
    static STORE: Arc<dyn ChoiceStore>;
}

/// Runs a future whose calls keep their parts in `store`. A layer that moves a call to another task hides the store
/// from it: such a call keeps no parts.
pub async fn with_choice_store<F: Future>(store: Arc<dyn ChoiceStore>, future: F) -> F::Output {
    STORE.scope(store, future).await
}

/// The parts of one request.
pub(super) struct Parts<'a> {
    engine: &'a str,
    request: &'a Request,
    store: Option<Arc<dyn ChoiceStore>>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(engine: &'a str, request: &'a Request) -> Self {
        Self { engine, request, store: STORE.try_with(Arc::clone).ok() }
    }

    pub(super) fn recall(&self, part: ChoicePart) -> Option<Response> {
        self.store.as_ref()?.recall(self.engine, self.request, part)
    }

    /// Whether the request was asked for by single choices before.
    pub(super) fn has_singles(&self, n: u64) -> bool {
        (0..n).any(|offset| self.recall(ChoicePart::Single(offset)).is_some())
    }

    pub(super) async fn keep(
        &self,
        part: ChoicePart,
        response: &Response,
    ) -> Result<(), EngineError> {
        match &self.store {
            Some(store) => store.keep(self.engine, self.request, part, response).await,
            None => Ok(()),
        }
    }
}
