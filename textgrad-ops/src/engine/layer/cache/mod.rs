//! Answers what was answered before, and makes equal requests at the same time once.

#[cfg(feature = "disk-cache")]
mod disk;
mod flight;
mod front;
mod memory;
mod shared;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};

#[cfg(feature = "disk-cache")]
pub use self::disk::{
    DiskCache, DiskCacheConfig, DiskCacheInfo, DiskCacheStats, DiskCached, DiskEntry, DiskFilter,
    DiskRemoved, DiskStored,
};
use self::front::Asked;
pub use self::shared::{Cache, CacheConfig, CacheStats};
use crate::engine::request_key;

/// An engine that keeps answers in memory; see [`EngineExt::cached`](super::EngineExt::cached) and [`Cache`].
#[derive(Debug, Clone)]
pub struct Cached<E> {
    engine: E,
    cache: Cache,
}

impl<E> Cached<E> {
    pub(super) fn new(engine: E, cache: Cache) -> Self {
        Self { engine, cache }
    }
}

#[async_trait]
impl<E: Engine> Engine for Cached<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let engine = self.engine.identity();
        let asked = Asked { key: request_key(&engine, request), engine: &engine, request };
        self.cache.get_or(&asked, || self.engine.complete(request)).await
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}

#[cfg(test)]
mod tests;
