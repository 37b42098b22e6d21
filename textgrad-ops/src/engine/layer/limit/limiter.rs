//! The limits, and what keeps them.

use std::num::NonZeroU32;
use std::sync::Arc;

use textgrad_core::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::cost::estimate;
use super::gate::Gate;

/// How much may be asked at a time and per minute. Nothing is limited by default; 0 lifts a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    concurrency: u32,
    requests: u32,
    tokens: u32,
}

impl Limits {
    /// The most calls in flight at a time.
    #[must_use]
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.concurrency = calls;
        self
    }

    /// The most requests per minute. A minute's worth may go at once after a quiet minute, as providers'
    /// own limiters allow.
    #[must_use]
    pub fn requests_per_minute(mut self, requests: u32) -> Self {
        self.requests = requests;
        self
    }

    /// The most tokens per minute, by estimate: a quarter of the request's bytes of text, 1,000 for each
    /// image, and `max_tokens` (512 where it is not set) for each answer. A request above the whole minute's
    /// worth waits for the full minute and then goes.
    #[must_use]
    pub fn tokens_per_minute(mut self, tokens: u32) -> Self {
        self.tokens = tokens;
        self
    }
}

/// Keeps [`Limits`], first come, first served. Cheap to clone; engines that share one share its limits, as
/// several models of one account do.
///
/// # Examples
/// ```
/// use textgrad_core::{Engine, engine_fn};
/// use textgrad_ops::engine::EngineExt;
/// use textgrad_ops::engine::layer::{Limiter, Limits};
///
/// # let model = |name| engine_fn(name, |_| async { Err(textgrad_core::EngineError::new(textgrad_core::ErrorKind::Other, "")) });
/// let account = Limiter::new(Limits::default().concurrency(64).requests_per_minute(500));
/// let policy = model("policy").limit(account.clone());
/// let critic = model("critic").limit(account);
/// ```
#[derive(Debug, Clone)]
pub struct Limiter {
    slots: Option<Arc<Semaphore>>,
    requests: Option<Arc<Gate>>,
    tokens: Option<Arc<Gate>>,
}

impl Limiter {
    /// A limiter that has let nothing through yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let gate = |amount| NonZeroU32::new(amount).map(Gate::per_minute).map(Arc::new);
        let slots =
            usize::try_from(limits.concurrency).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            slots: (slots > 0).then(|| Arc::new(Semaphore::new(slots))),
            requests: gate(limits.requests),
            tokens: gate(limits.tokens),
        }
    }

    /// Waits until the request may go; the slot is free again when the permit is dropped.
    pub(super) async fn enter(&self, request: &Request) -> Option<OwnedSemaphorePermit> {
        // The slot comes first: what the gates let through must go at once, or it would pile up behind the
        // slots and then leave in a burst.
        let slot = match &self.slots {
            Some(slots) => Arc::clone(slots).acquire_owned().await.ok(),
            None => None,
        };
        if let Some(gate) = &self.requests {
            gate.take(1).await;
        }
        if let Some(gate) = &self.tokens {
            gate.take(estimate(request)).await;
        }
        slot
    }
}

impl From<Limits> for Limiter {
    fn from(limits: Limits) -> Self {
        Self::new(limits)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use futures_util::future::join_all;
    use textgrad_core::{
        Choice, Engine, FinishReason, Message, Purpose, Response, Sampling, engine_fn,
    };
    use tokio::time::{Instant, sleep, timeout};

    use super::super::Limit;
    use super::*;

    fn request(text: &str, max_tokens: u32) -> Request {
        Request::new(Purpose::Sample, [Message::user(text)])
            .with_sampling(Sampling::default().with_max_tokens(max_tokens))
    }

    /// When each of the requests was let through, in seconds since the start, in the order of letting.
    async fn passes(limits: Limits, requests: &[Request]) -> Vec<(String, u64)> {
        let start = Instant::now();
        let seen = Mutex::new(Vec::new());
        let engine = engine_fn("e", |request: Request| {
            seen.lock().unwrap().push((request.messages[0].text(), start.elapsed().as_secs()));
            async { Ok(Response::new(vec![Choice::new("", FinishReason::Stop)])) }
        });
        let engine = Limit::new(engine, limits.into());
        join_all(requests.iter().map(|request| engine.complete(request))).await;
        drop(engine);
        seen.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_calls_than_allowed_are_in_flight_in_order_of_arrival() {
        let flight = Mutex::new((0, 0));
        let order = Mutex::new(Vec::new());
        let engine = engine_fn("e", |request: Request| {
            let (flight, order) = (&flight, &order);
            async move {
                {
                    let mut flight = flight.lock().unwrap();
                    flight.0 += 1;
                    flight.1 = flight.1.max(flight.0);
                    order.lock().unwrap().push(request.messages[0].text());
                }
                sleep(Duration::from_secs(1)).await;
                flight.lock().unwrap().0 -= 1;
                Ok(Response::new(vec![Choice::new("", FinishReason::Stop)]))
            }
        });
        let engine = Limit::new(engine, Limits::default().concurrency(3).into());
        let requests: Vec<Request> = (0..10).map(|i| request(&i.to_string(), 1)).collect();
        let start = Instant::now();
        join_all(requests.iter().map(|request| engine.complete(request))).await;
        assert_eq!(start.elapsed(), Duration::from_secs(4));
        drop(engine);
        assert_eq!(flight.into_inner().unwrap(), (0, 3));
        let expected: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        assert_eq!(order.into_inner().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_per_minute_hold_under_concurrency() {
        let requests: Vec<Request> = (0..14).map(|_| request("x", 1)).collect();
        let times: Vec<u64> = passes(Limits::default().requests_per_minute(12), &requests)
            .await
            .into_iter()
            .map(|(_, at)| at)
            .collect();
        // The full bucket at once, then one every five seconds.
        assert_eq!(times, [[0; 12].as_slice(), &[5, 10]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_per_minute_are_taken_from_what_a_request_may_cost() {
        // "1234" is one token, so each costs 30 of 60.
        let requests = [request("1234", 29), request("1234", 29), request("1234", 29)];
        let times: Vec<u64> = passes(Limits::default().tokens_per_minute(60), &requests)
            .await
            .into_iter()
            .map(|(_, at)| at)
            .collect();
        assert_eq!(times, [0, 0, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_above_the_whole_budget_waits_for_the_full_bucket_and_is_not_overtaken() {
        let requests = [request("a", 29), request("huge", 1_000_000), request("b", 0)];
        let seen = passes(Limits::default().tokens_per_minute(60), &requests).await;
        assert_eq!(seen, [("a".into(), 0), ("huge".into(), 30), ("b".into(), 31)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_dropped_gives_its_place_back() {
        let limiter = Limiter::new(Limits::default().concurrency(1).requests_per_minute(1));
        let one = request("x", 1);
        let slot = limiter.enter(&one).await;
        assert!(
            timeout(Duration::from_secs(1), limiter.enter(&one)).await.is_err(),
            "the slot is taken"
        );
        drop(slot);
        assert!(
            timeout(Duration::from_secs(1), limiter.enter(&one)).await.is_err(),
            "the minute is spent"
        );
        assert!(timeout(Duration::from_secs(60), limiter.enter(&one)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn zero_lifts_a_limit_and_a_clone_shares_it() {
        let limits = Limits::default().concurrency(0).requests_per_minute(0).tokens_per_minute(0);
        let free = Limiter::new(limits);
        let one = request("x", 1);
        let (_a, _b) = (free.enter(&one).await, free.enter(&one).await);

        let shared = Limiter::new(Limits::default().concurrency(1));
        let _slot = shared.clone().enter(&one).await;
        assert!(timeout(Duration::from_secs(1), shared.enter(&one)).await.is_err());
    }
}
