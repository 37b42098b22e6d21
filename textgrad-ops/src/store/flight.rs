//! Single flight: one call for equal concurrent requests, of one process and, by leases, of several.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use textgrad_core::{EngineError, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::key::RequestKey;

type Outcome = Result<Response, EngineError>;

/// A call that is being made. Who holds the lead makes it; the others wait for the lead. It is passed on when
/// its holder is done, or gone: then the next in line finds no outcome and makes the call.
#[derive(Debug)]
struct Flight {
    lead: Semaphore,
    outcome: OnceLock<Outcome>,
}

/// The calls that are being made.
#[derive(Debug, Default)]
pub(super) struct SingleFlight(DashMap<RequestKey, Arc<Flight>>);

impl SingleFlight {
    /// Joins the call of a key, or begins it.
    pub(super) fn join(&self, key: RequestKey) -> Waiter<'_> {
        let entry = self.0.entry(key).or_insert_with(|| {
            Arc::new(Flight { lead: Semaphore::new(1), outcome: OnceLock::new() })
        });
        Waiter { flights: self, key, flight: Some(Arc::clone(&entry)) }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The right to make a call, among processes that share a store. It is renewed while the call runs and released when
/// it is dropped; that of a killed process expires.
#[derive(Default)]
pub struct Lease(Option<LeaseHandle>);

struct LeaseHandle {
    every: Duration,
    renew: Box<dyn Fn() + Send + Sync>,
    release: Box<dyn Fn() + Send + Sync>,
}

impl Lease {
    /// A lease that is kept by calling `renew` at this interval, and ended by `release`. Neither may block.
    pub fn new(
        every: Duration,
        renew: impl Fn() + Send + Sync + 'static,
        release: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self(Some(LeaseHandle { every, renew: Box::new(renew), release: Box::new(release) }))
    }

    /// Renews the lease until the future is dropped.
    pub(super) async fn keep(&self) -> Infallible {
        let Some(LeaseHandle { every, renew, .. }) = &self.0 else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(*every).await;
            renew();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            (handle.release)();
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.0.as_ref().map(|handle| handle.every)).finish()
    }
}

/// A place in a flight. The flight is removed with its last waiter.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    flights: &'a SingleFlight,
    key: RequestKey,
    flight: Option<Arc<Flight>>,
}

/// The role that a waiter has once its turn comes.
pub(super) enum Role<'a> {
    /// Someone else made the call.
    Waiter(Outcome),
    /// The call is the holder's to make.
    Leader(Leader<'a>),
}

/// The right to make a call; the next in line has it when this is dropped.
pub(super) struct Leader<'a> {
    outcome: &'a OnceLock<Outcome>,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Waiter<'_> {
    pub(super) async fn role(&self) -> Option<Role<'_>> {
        let flight = self.flight.as_deref()?;
        let permit = flight.lead.acquire().await.ok();
        Some(match flight.outcome.get() {
            Some(outcome) => Role::Waiter(outcome.clone()),
            None => Role::Leader(Leader { outcome: &flight.outcome, _permit: permit }),
        })
    }

    /// Lets whoever asks from now on begin a call of their own.
    pub(super) fn close(&self) {
        self.flights.0.remove_if(&self.key, |_, flight| {
            self.flight.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, flight))
        });
    }
}

impl Leader<'_> {
    /// Hands the outcome to all who wait.
    pub(super) fn complete(self, outcome: Outcome) {
        // Only the holder of the lead sets it, and only once.
        let _ = self.outcome.set(outcome);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // First this waiter's own share, so that of two that go at once the second sees none left.
        self.flight = None;
        self.flights.0.remove_if(&self.key, |_, flight| Arc::strong_count(flight) == 1);
    }
}
