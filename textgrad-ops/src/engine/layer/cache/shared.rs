//! The cache that engines share.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use textgrad_core::{EngineError, Response};

use super::front::{Asked, Counts, Front};
use super::memory::Memory;

/// How a [`Cache`] is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheConfig {
    max_entries: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { max_entries: 4096 }
    }
}

impl CacheConfig {
    /// The most responses that are kept, 4,096 by default. With 0 none is kept, but equal requests at the
    /// same time are still made once.
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }
}

/// What a [`Cache`] did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheStats {
    /// Requests answered from memory.
    pub hits: u64,
    /// Requests answered, well or with an error, by an equal one that was under way.
    pub shared: u64,
    /// Requests that were made.
    pub misses: u64,
    /// Responses kept now.
    pub entries: usize,
}

/// Answers kept in memory. Cheap to clone: engines can share one, and whoever keeps a clone can read its
/// [`stats`](Cache::stats).
///
/// * Two requests are equal if their [keys](crate::engine::request_key) are: same
///   [identity](textgrad_core::Engine::identity) of the engine, same messages, same sampling, same format. A
///   request without a seed is kept as well: to draw several times, use seeds.
/// * Of equal requests at the same time one is made. If its caller goes away, the next in line makes it. An
///   error goes to those who wait and is not kept.
/// * A response with an answer that the model did not end itself (cut off by its length, withheld by a filter,
///   aborted: anything but [`FinishReason::Stop`](textgrad_core::FinishReason::Stop)), or with fewer answers
///   than were asked for, is not kept: a later try may do better.
/// * When it is full, the response that was stored first makes room. TPO and training ask again soon or
///   never, so how often a response was used says little about its future.
/// * A response from memory is what it was, its usage included: a [`Meter`](crate::engine::layer::Meter)
///   counts what was paid for only inside of the cache.
#[derive(Debug, Clone)]
pub struct Cache {
    front: Arc<Front<Memory>>,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(config: CacheConfig) -> Self {
        Self { front: Arc::new(Front::new(Memory::new(config.max_entries))) }
    }

    /// What the cache did so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let Counts { hits, shared, misses, not_kept: _ } = self.front.counts();
        CacheStats { hits, shared, misses, entries: self.front.tier.len() }
    }

    pub(super) async fn get_or<F, Fut>(
        &self,
        asked: &Asked<'_>,
        call: F,
    ) -> Result<Response, EngineError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Response, EngineError>>,
    {
        self.front.get_or(asked, call).await
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.front.is_idle()
    }
}

impl From<CacheConfig> for Cache {
    fn from(config: CacheConfig) -> Self {
        Self::new(config)
    }
}

impl From<&Cache> for Cache {
    fn from(cache: &Cache) -> Self {
        cache.clone()
    }
}
