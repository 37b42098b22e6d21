//! Keeps within what a server or an account allows.

mod clock;
mod gate;
mod limiter;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};

pub use self::limiter::{Limiter, Limits};

/// An engine that waits until its [`Limiter`] lets a call through; see
/// [`EngineExt::limit`](super::EngineExt::limit).
#[derive(Debug, Clone)]
pub struct Limit<E> {
    engine: E,
    limiter: Limiter,
}

impl<E> Limit<E> {
    pub(super) fn new(engine: E, limiter: Limiter) -> Self {
        Self { engine, limiter }
    }
}

#[async_trait]
impl<E: Engine> Engine for Limit<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let _slot = self.limiter.enter(request).await;
        self.engine.complete(request).await
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}
