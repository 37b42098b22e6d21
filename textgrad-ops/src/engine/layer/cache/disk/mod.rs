//! Answers kept in a file that several processes share.
//!
//! * `handle` is what callers hold, `tier` how lookups and inserts reach the file;
//! * `worker` has the two threads in which all of SQLite runs;
//! * `store` is the file: its schema, what is put into it, what is taken out, what is shown of it.

mod config;
mod failure;
mod handle;
mod look;
mod store;
mod tier;
mod worker;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};

pub use self::config::DiskCacheConfig;
pub use self::handle::{DiskCache, DiskCacheStats};
pub use self::look::{DiskCacheInfo, DiskEntry, DiskFilter, DiskRemoved, DiskStored};
use super::front::Asked;
use crate::engine::request_key;

/// An engine that keeps answers in a file; see [`EngineExt::disk_cached`](crate::engine::EngineExt::disk_cached)
/// and [`DiskCache`].
#[derive(Debug, Clone)]
pub struct DiskCached<E> {
    engine: E,
    cache: DiskCache,
}

impl<E> DiskCached<E> {
    pub(crate) fn new(engine: E, cache: DiskCache) -> Self {
        Self { engine, cache }
    }
}

#[async_trait]
impl<E: Engine> Engine for DiskCached<E> {
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
