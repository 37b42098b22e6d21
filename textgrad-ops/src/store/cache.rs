//! Response cache over any store, with one call for equal concurrent requests.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Serialize;
use textgrad_core::{EngineError, FinishReason, Request, Response};

use super::flight::{Lease, Role, SingleFlight};
use super::key::{RequestKey, request_key};
use crate::layer::{ChoicePart, ChoiceStore, choice_store, single};

/// What a response is cached under.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CacheKey<'a> {
    /// The key of the request.
    pub key: RequestKey,
    /// The identity of the engine.
    pub engine: &'a str,
    /// The request.
    pub request: &'a Request,
}

impl<'a> CacheKey<'a> {
    /// The key of a request to the engine of this [identity](textgrad_core::EngineInfo::identity).
    #[must_use]
    pub fn new(engine: &'a str, request: &'a Request) -> Self {
        Self { key: request_key(engine, request), engine, request }
    }

    /// The key of the several, but not all, choices that one response had.
    fn first(self) -> Self {
        Self { key: self.key.derived("first"), ..self }
    }
}

/// A backend that keeps responses by key. A failure of the backend is its own business: at worst it keeps
/// nothing.
pub trait CacheStore: Send + Sync {
    /// The response of a key, if it is kept.
    fn get(&self, key: &CacheKey<'_>) -> impl Future<Output = Option<Response>> + Send;

    /// Keeps a response. An implementation must begin the work before its first wait, so that dropping the future
    /// does not lose the response.
    fn put(&self, key: &CacheKey<'_>, response: &Response) -> impl Future<Output = ()> + Send;

    /// Waits until no other process makes this request, and leases it for this one. A store of one process has
    /// nothing to wait for.
    fn lease(&self, key: &CacheKey<'_>) -> impl Future<Output = Lease> + Send {
        let _ = key;
        std::future::ready(Lease::default())
    }

    /// How many lookups and inserts failed.
    fn failures(&self) -> u64 {
        0
    }
}

/// Statistics of a cache, in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// Requests answered from the store.
    pub hits: u64,
    /// Requests answered by an equal one that was under way, with its response or its error.
    pub shared: u64,
    /// Requests that were made.
    pub misses: u64,
    /// Of these, how many had a response that is not fit to be cached.
    pub not_kept: u64,
    /// Lookups and inserts that failed. No response was lost by it: what could not be looked up was requested, what
    /// could not be kept was only handed on.
    pub failures: u64,
}

/// A response cache over a [`CacheStore`]. Cheap to clone: engines can share one, and whoever keeps a clone can
/// read its statistics.
///
/// * Requests are equal if their [keys](request_key) are: same [identity](textgrad_core::EngineInfo::identity) of
///   the engine, same messages, same sampling, same format. The purpose is left out. A request without a seed is
///   cached as well: to draw several times, use seeds.
/// * Of equal concurrent requests one is made. If its caller goes away, the next in line makes it. An error goes
///   to those who wait and is not cached. Where processes share the store, one of them makes the request; if it fails
///   there, each makes its own.
/// * Of a request for several choices that are asked for one by one, each is cached as soon as it is there.
/// * Only complete responses are cached: as many choices as were requested, each ended by the model
///   ([`FinishReason::Stop`]). A later call may do better than a truncated, filtered or aborted one.
/// * A cached response keeps its usage: a [`Meter`](crate::layer::Meter) counts what was paid for only inside of
///   the cache.
#[derive(Debug)]
pub struct CacheLayer<S>(Arc<Shared<S>>);

#[derive(Debug)]
struct Shared<S> {
    store: S,
    flights: SingleFlight,
    stats: Mutex<CacheStats>,
}

impl<S> Clone for CacheLayer<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> From<&Self> for CacheLayer<S> {
    fn from(cache: &Self) -> Self {
        cache.clone()
    }
}

impl<S> CacheLayer<S> {
    /// A cache over a store.
    pub fn over(store: S) -> Self {
        let (flights, stats) = Default::default();
        Self(Arc::new(Shared { store, flights, stats }))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }

    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.0.flights.is_empty()
    }
}

impl<S: CacheStore> CacheLayer<S> {
    /// What the cache did so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats { failures: self.0.store.failures(), ..*self.0.stats.lock() }
    }

    /// The response of a key: from the store, from an equal call under way, or from `call`.
    ///
    /// # Errors
    /// Those of `call`.
    pub async fn get_or<F, Fut>(&self, key: &CacheKey<'_>, call: F) -> Result<Response, EngineError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Response, EngineError>>,
    {
        let shared = &*self.0;
        if let Some(response) = shared.hit(key).await {
            return Ok(response);
        }
        let waiter = shared.flights.join(key.key);
        let leader = match waiter.role().await {
            Some(Role::Waiter(outcome)) => {
                shared.stats.lock().shared += 1;
                return outcome;
            }
            Some(Role::Leader(leader)) => leader,
            None => return call().await,
        };
        let lease = shared.store.lease(key).await;
        // An equal call may have completed between the first lookup and this flight.
        if let Some(response) = shared.hit(key).await {
            leader.complete(Ok(response.clone()));
            return Ok(response);
        }
        shared.stats.lock().misses += 1;
        let outcome = tokio::select! {
            biased;
            outcome = call() => outcome,
            never = lease.keep() => match never {},
        };
        match &outcome {
            Ok(response) if is_complete(response, key.request.sampling.n) => {
                // Open until it is kept: who comes meanwhile has the response from here.
                leader.complete(outcome.clone());
                shared.store.put(key, response).await;
                waiter.close();
            }
            _ => {
                shared.stats.lock().not_kept += u64::from(outcome.is_ok());
                // Closed before it completes: who comes later makes a call of its own.
                waiter.close();
                leader.complete(outcome.clone());
            }
        }
        outcome
    }
}

impl<S: CacheStore + 'static> CacheLayer<S> {
    /// A store of choices that keeps them here and in the store of the current scope.
    pub(crate) fn parts(&self, engine: &str) -> Arc<dyn ChoiceStore> {
        Arc::new(CachedParts {
            cache: self.clone(),
            engine: engine.to_owned(),
            outer: choice_store(),
        })
    }
}

/// The choices of calls, each cached as soon as it is there.
struct CachedParts<S> {
    cache: CacheLayer<S>,
    /// The identity of the engine.
    engine: String,
    outer: Option<Arc<dyn ChoiceStore>>,
}

impl<S> CachedParts<S> {
    /// The request for a part alone, by which others may ask for it too.
    fn request(request: &Request, part: ChoicePart) -> Request {
        match part {
            ChoicePart::First => request.clone(),
            ChoicePart::Single(offset) => single(request, offset),
        }
    }

    fn key<'a>(&'a self, request: &'a Request, part: ChoicePart) -> CacheKey<'a> {
        let key = CacheKey::new(&self.engine, request);
        match part {
            ChoicePart::First => key.first(),
            ChoicePart::Single(_) => key,
        }
    }
}

#[async_trait]
impl<S: CacheStore + 'static> ChoiceStore for CachedParts<S> {
    async fn recall(&self, engine: &str, request: &Request, part: ChoicePart) -> Option<Response> {
        if let Some(outer) = &self.outer
            && let Some(kept) = outer.recall(engine, request, part).await
        {
            return Some(kept);
        }
        let own = Self::request(request, part);
        self.cache.0.store.get(&self.key(&own, part)).await
    }

    async fn keep(
        &self,
        engine: &str,
        request: &Request,
        part: ChoicePart,
        response: &Response,
    ) -> Result<(), EngineError> {
        let own = Self::request(request, part);
        let key = self.key(&own, part);
        let put = async {
            if is_complete(response, 1) {
                self.cache.0.store.put(&key, response).await;
            }
        };
        match &self.outer {
            // Both at once: neither may be late because of the other.
            Some(outer) => {
                let kept = outer.keep(engine, request, part, response);
                futures_util::future::join(kept, put).await.0
            }
            None => {
                put.await;
                Ok(())
            }
        }
    }
}

impl<S: CacheStore> Shared<S> {
    async fn hit(&self, key: &CacheKey<'_>) -> Option<Response> {
        let response = self.store.get(key).await?;
        self.stats.lock().hits += 1;
        Some(response)
    }
}

/// Whether a later call could not do better: as many choices as were requested, each of which the model ended
/// itself. Unknown finish reasons (`abort`, `error`, ...) mostly mean that something went wrong.
fn is_complete(response: &Response, n: u32) -> bool {
    let all = usize::try_from(n).is_ok_and(|n| response.choices.len() >= n);
    all && response.choices.iter().all(|choice| choice.finish_reason == FinishReason::Stop)
}
