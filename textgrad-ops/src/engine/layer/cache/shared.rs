//! The cache that engines share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use textgrad_core::{EngineError, Response};

use super::flight::{Flights, Turn};
use super::memory::Memory;
use crate::engine::RequestKey;

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
///   [identity](textgrad_core::Engine::identity) of the engine, same messages, same sampling. A request without a seed is kept as well: to draw several times, use seeds.
/// * Of equal requests at the same time one is made. If its caller goes away, the next in line makes it. An
///   error goes to those who wait and is not kept.
/// * A response with an answer that was cut off by its length, or with fewer answers than were asked for, is
///   not kept: a later try may do better.
/// * When it is full, the response that was stored first makes room. TPO and training ask again soon or
///   never, so how often a response was used says little about its future.
/// * A response from memory is what it was, its usage included: a [`Meter`](crate::engine::layer::Meter)
///   counts what was paid for only inside of the cache.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    memory: Memory,
    flights: Flights,
    hits: AtomicU64,
    shared: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new(config: CacheConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                memory: Memory::new(config.max_entries),
                flights: Flights::default(),
                hits: AtomicU64::new(0),
                shared: AtomicU64::new(0),
                misses: AtomicU64::new(0),
            }),
        }
    }

    /// What the cache did so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.inner.hits.load(Ordering::Relaxed),
            shared: self.inner.shared.load(Ordering::Relaxed),
            misses: self.inner.misses.load(Ordering::Relaxed),
            entries: self.inner.memory.len(),
        }
    }

    /// The response of a key that stands for `n` answers: from memory, from an equal call under way, or from
    /// `call`.
    pub(super) async fn get_or<F, Fut>(
        &self,
        key: RequestKey,
        n: u32,
        call: F,
    ) -> Result<Response, EngineError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Response, EngineError>>,
    {
        let inner = &*self.inner;
        if let Some(response) = inner.hit(key) {
            return Ok(response);
        }
        let ticket = inner.flights.join(key);
        let lead = match ticket.turn().await {
            Some(Turn::Made(outcome)) => {
                inner.shared.fetch_add(1, Ordering::Relaxed);
                return outcome;
            }
            Some(Turn::Lead(lead)) => lead,
            None => return call().await,
        };
        // An equal call may have landed between the first look and this flight.
        if let Some(response) = inner.hit(key) {
            lead.land(Ok(response.clone()));
            return Ok(response);
        }
        inner.misses.fetch_add(1, Ordering::Relaxed);
        let outcome = call().await;
        if let Ok(response) = &outcome
            && is_whole(response, n)
        {
            inner.memory.put(key, response.clone());
        }
        // Closed before it lands: who comes later finds the response in memory or makes a call.
        ticket.close();
        lead.land(outcome.clone());
        outcome
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.inner.flights.is_empty()
    }
}

impl Inner {
    fn hit(&self, key: RequestKey) -> Option<Response> {
        let response = self.memory.get(key)?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(response)
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

fn is_whole(response: &Response, n: u32) -> bool {
    let all = usize::try_from(n).is_ok_and(|n| response.choices.len() >= n);
    all && !response.choices.iter().any(|choice| choice.finish_reason.is_cut_off())
}
