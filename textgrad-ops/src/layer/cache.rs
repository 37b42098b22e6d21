//! Engines with a response cache.

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, Request, Response};

use crate::store::{CacheKey, CacheLayer, CacheStore, MemoryStore};

/// Returns cached responses, and makes equal concurrent requests once; see
/// [`EngineExt::cached`](super::EngineExt::cached) and [`CacheLayer`].
#[derive(Debug, Clone)]
pub struct Cached<E, S = MemoryStore> {
    engine: E,
    pub(super) cache: CacheLayer<S>,
}

impl<E, S> Cached<E, S> {
    /// An engine with a cache over any store.
    pub fn new(engine: E, cache: CacheLayer<S>) -> Self {
        Self { engine, cache }
    }

    /// The inner engine.
    pub fn get_ref(&self) -> &E {
        &self.engine
    }

    /// The inner engine, by value.
    pub fn into_inner(self) -> E {
        self.engine
    }
}

#[async_trait]
impl<E: Engine, S: CacheStore> Engine for Cached<E, S> {
    fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let key = CacheKey::new(self.engine.identity(), request);
        self.cache.get_or(&key, || self.engine.complete(request)).await
    }
}

#[cfg(test)]
mod tests;
