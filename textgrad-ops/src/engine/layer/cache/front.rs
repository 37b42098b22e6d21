//! What every cache does, wherever it keeps its answers.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use textgrad_core::{EngineError, FinishReason, Request, Response};

use super::flight::{Flights, Turn};
use crate::engine::RequestKey;

/// A request, with what its answer is kept under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) key: RequestKey,
    /// The identity of the engine that is asked.
    #[cfg_attr(
        not(feature = "disk-cache"),
        expect(dead_code, reason = "only files say whose answer it is")
    )]
    pub(super) engine: &'a str,
    pub(super) request: &'a Request,
}

/// A place where answers are kept. What goes wrong there is its own business: at worst it keeps nothing.
pub(super) trait Tier: Send + Sync {
    fn get(&self, asked: &Asked<'_>) -> impl Future<Output = Option<Response>> + Send;

    /// Keeps an answer. What it takes is set going before the first wait, so that a caller who goes away does
    /// not take the answer along.
    fn put(&self, asked: &Asked<'_>, response: &Response) -> impl Future<Output = ()> + Send;
}

/// What a cache did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) shared: u64,
    pub(super) misses: u64,
    #[cfg_attr(not(feature = "disk-cache"), expect(dead_code, reason = "told of files only"))]
    pub(super) not_kept: u64,
}

/// Looks into a tier, makes the call if it has no answer, and makes equal calls at the same time once.
#[derive(Debug)]
pub(super) struct Front<T> {
    pub(super) tier: T,
    flights: Flights,
    hits: AtomicU64,
    shared: AtomicU64,
    misses: AtomicU64,
    not_kept: AtomicU64,
}

impl<T: Tier> Front<T> {
    pub(super) fn new(tier: T) -> Self {
        Self {
            tier,
            flights: Flights::default(),
            hits: AtomicU64::new(0),
            shared: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            not_kept: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            hits: self.hits.load(Ordering::Relaxed),
            shared: self.shared.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            not_kept: self.not_kept.load(Ordering::Relaxed),
        }
    }

    /// The answer to a request: from the tier, from an equal call under way, or from `call`.
    pub(super) async fn get_or<F, Fut>(
        &self,
        asked: &Asked<'_>,
        call: F,
    ) -> Result<Response, EngineError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Response, EngineError>>,
    {
        if let Some(response) = self.hit(asked).await {
            return Ok(response);
        }
        let ticket = self.flights.join(asked.key);
        let lead = match ticket.turn().await {
            Some(Turn::Made(outcome)) => {
                self.shared.fetch_add(1, Ordering::Relaxed);
                return outcome;
            }
            Some(Turn::Lead(lead)) => lead,
            None => return call().await,
        };
        // An equal call may have landed between the first look and this flight.
        if let Some(response) = self.hit(asked).await {
            lead.land(Ok(response.clone()));
            return Ok(response);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let outcome = call().await;
        match &outcome {
            Ok(response) if is_whole(response, asked.request.sampling.n) => {
                // Open until it is kept: who comes meanwhile has the answer from here.
                lead.land(outcome.clone());
                self.tier.put(asked, response).await;
                ticket.close();
            }
            _ => {
                self.not_kept.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
                // Closed before it lands: who comes later makes a call of its own.
                ticket.close();
                lead.land(outcome.clone());
            }
        }
        outcome
    }

    async fn hit(&self, asked: &Asked<'_>) -> Option<Response> {
        let response = self.tier.get(asked).await?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(response)
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty()
    }
}

/// Whether a later call could not do better: as many answers as were asked for, each of which the model ended
/// itself. Reasons that are not known (`abort`, `error`, ...) mostly say that something went wrong.
fn is_whole(response: &Response, n: u32) -> bool {
    let all = usize::try_from(n).is_ok_and(|n| response.choices.len() >= n);
    all && response.choices.iter().all(|choice| choice.finish_reason == FinishReason::Stop)
}
