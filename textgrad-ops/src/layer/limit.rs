//! Concurrency and rate limits, with token buckets per minute.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Layer;
use super::pace::Pace;
use super::price::estimate;
use super::slots::{Slot, Slots};

/// Bounds on concurrency and on requests and tokens per minute. Default: no limits; 0 lifts a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Setters)]
pub struct Limits {
    /// The most calls in flight at a time.
    concurrency: u32,
    /// The most requests per minute, evenly spread: at most a second's worth goes at once, since servers count in
    /// windows shorter than a minute too.
    requests_per_minute: u32,
    /// The most tokens per minute, by estimate: a quarter of the request's bytes of text, 1,000 for each
    /// image, and `max_tokens` (512 where it is not set) for each answer. A request above the whole minute's
    /// worth waits for the full minute and then goes.
    tokens_per_minute: u32,
}

/// Enforces [`Limits`], first come, first served, [older work](super::of_age) first; see
/// [`EngineExt::limit`](super::EngineExt::limit).
///
/// It also adapts to limits of the server that nobody has set. A refusal for the rate of requests
/// ([`RateLimited`](ErrorKind::RateLimited)) pauses all calls: as long as the server asks, up to 120 s, else with
/// growing pauses until a call passes. From then on, calls are spread to the rate at which they passed, which rises
/// again with each call. Such a call is made again here, and does not count as a retry. It fails after ten minutes in
/// which no call passed.
///
/// Calls to a server that is down are paced too: after ten attempts in a row that could not reach it or that it failed,
/// one is made at a time, and after six of these, all calls that wait fail.
///
/// Cheap to clone: clones share the limits, as several models of one account do.
///
/// # Examples
/// ```
/// use textgrad_core::{Engine, engine_fn};
/// use textgrad_ops::layer::EngineExt;
/// use textgrad_ops::layer::{Limiter, Limits};
///
/// # use textgrad_core::{EngineError, ErrorKind};
/// # let model = |name| engine_fn(name, |_| async { Err(EngineError::new(ErrorKind::Other, "")) });
/// let account = Limiter::new(Limits::default().concurrency(64).requests_per_minute(500));
/// let policy = model("policy").limit(account.clone());
/// let critic = model("critic").limit(account);
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(generate = false)]
pub struct Limiter {
    slots: Option<Slots>,
    requests: Option<Arc<TokenBucket>>,
    tokens: Option<Arc<TokenBucket>>,
    pace: Arc<Pace>,
    /// Cancellation: calls that wait then fail.
    #[setters(generate)]
    cancellation: CancellationToken,
}

impl Limiter {
    /// A limiter with full buckets.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let bucket = |amount: u32, capacity: u32| {
            (amount > 0).then(|| Arc::new(TokenBucket::new(amount, capacity)))
        };
        let slots = usize::try_from(limits.concurrency).unwrap_or(usize::MAX);
        Self {
            slots: (slots > 0).then(|| Slots::new(slots)),
            requests: bucket(limits.requests_per_minute, limits.requests_per_minute.div_ceil(60)),
            tokens: bucket(limits.tokens_per_minute, limits.tokens_per_minute),
            pace: Arc::default(),
            cancellation: CancellationToken::new(),
        }
    }

    /// A limiter of another server, which shares the limits and adapts to that server alone.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { pace: Arc::default(), ..self.clone() }
    }

    /// Makes a call of about so many tokens, and again where the server refuses it for the rate of requests. For
    /// callers without an [`Engine`], such as clients of reward servers.
    ///
    /// # Errors
    /// Those of the call; those of [`acquire`](Self::acquire).
    pub async fn run<T, F, Fut>(&self, tokens: u64, mut call: F) -> Result<T, EngineError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, EngineError>>,
    {
        loop {
            let permit = self.acquire(tokens).await?;
            let sent = Instant::now();
            let result = call().await;
            drop(permit);
            match result {
                Err(error) if error.kind() == ErrorKind::RateLimited && error.is_retryable() => {
                    self.pace.refuse(sent, error)?;
                }
                Err(error) => {
                    self.pace.fail(sent, &error);
                    return Err(error);
                }
                Ok(value) => {
                    self.pace.pass(sent);
                    return Ok(value);
                }
            }
        }
    }

    /// Waits until a call of about so many tokens may start. Calls are admitted first come, first served; the
    /// slot is free again when the permit is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] after a cancellation; the last error of a server that was given up while the call
    /// waited.
    pub async fn acquire(&self, tokens: u64) -> Result<LimiterPermit, EngineError> {
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => {
                let message = "cancelled while it waited for the limit of requests";
                Err(EngineError::new(ErrorKind::RateLimited, message))
            }
            permit = self.admit(tokens) => permit,
        }
    }

    async fn admit(&self, tokens: u64) -> Result<LimiterPermit, EngineError> {
        // The slot comes first: what the buckets admit must start at once, or it would pile up behind the slots
        // and then leave in a burst.
        let slot = match &self.slots {
            Some(slots) => Some(slots.acquire().await),
            None => None,
        };
        self.pace.start().await?;
        if let Some(bucket) = &self.requests {
            bucket.take(1).await;
        }
        if let Some(bucket) = &self.tokens {
            bucket.take(tokens).await;
        }
        Ok(LimiterPermit { _slot: slot })
    }
}

impl Layer for Limiter {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        self.run(estimate(request), || engine.complete(request)).await
    }
}

/// Permission of a [`Limiter`] to make one call; its slot is free again when this is dropped.
#[derive(Debug)]
#[must_use = "the slot is free again as soon as the permit is dropped"]
pub struct LimiterPermit {
    _slot: Option<Slot>,
}

impl From<Limits> for Limiter {
    fn from(limits: Limits) -> Self {
        Self::new(limits)
    }
}

/// A token bucket that refills evenly, first come, first served.
#[derive(Debug)]
struct TokenBucket {
    per_minute: u32,
    capacity: u32,
    /// Only the first in line may take from the bucket: else small requests would forever drain what a large one
    /// waits for.
    line: Mutex<Level>,
}

/// The level of a bucket at a point in time.
#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    fn new(per_minute: u32, capacity: u32) -> Self {
        let level = Level { tokens: f64::from(capacity), at: Instant::now() };
        Self { per_minute, capacity, line: Mutex::new(level) }
    }

    /// Takes `amount` from the bucket as soon as it is there. More than the bucket holds takes the full bucket: a
    /// large request is late rather than never.
    async fn take(&self, amount: u64) {
        let (full, per_second) = (f64::from(self.capacity), f64::from(self.per_minute) / 60.0);
        let amount = f64::from(u32::try_from(amount).unwrap_or(u32::MAX)).min(full);
        // Held while it waits: this is the line.
        let mut level = self.line.lock().await;
        loop {
            let now = Instant::now();
            let refill = now.duration_since(level.at).as_secs_f64() * per_second;
            *level = Level { tokens: (level.tokens + refill).min(full), at: now };
            // Sums of fractions miss a whole number by a few units in the last place.
            if level.tokens + 1e-6 >= amount {
                level.tokens -= amount;
                return;
            }
            let missing = (amount - level.tokens) / per_second;
            tokio::time::sleep(Duration::from_secs_f64(missing)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::join_all;
    use textgrad_core::{Choice, FinishReason, Message, Purpose, Sampling, engine_fn};
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::layer::Layered;

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
        let engine = Layered::new(engine, Limiter::new(limits));
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
        let engine = Layered::new(engine, Limiter::new(Limits::default().concurrency(3)));
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
        let requests: Vec<Request> = (0..6).map(|_| request("x", 1)).collect();
        for (per_minute, expected) in [(12, [0, 5, 10, 15, 20, 25]), (120, [0, 0, 0, 1, 1, 2])] {
            let seen = passes(Limits::default().requests_per_minute(per_minute), &requests).await;
            let times: Vec<u64> = seen.into_iter().map(|(_, at)| at).collect();
            assert_eq!(times, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancellation_ends_the_wait() {
        let token = CancellationToken::new();
        let limiter = Limiter::new(Limits::default().requests_per_minute(1));
        let limiter = limiter.cancellation(token.clone());
        assert!(limiter.acquire(1).await.is_ok());
        let (waited, ()) = tokio::join!(limiter.acquire(1), async { token.cancel() });
        assert!(waited.unwrap_err().is_retryable());
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
        let slot = limiter.acquire(estimate(&one)).await.unwrap();
        assert!(
            timeout(Duration::from_secs(1), limiter.acquire(estimate(&one))).await.is_err(),
            "the slot is taken"
        );
        drop(slot);
        assert!(
            timeout(Duration::from_secs(1), limiter.acquire(estimate(&one))).await.is_err(),
            "the minute is spent"
        );
        assert!(timeout(Duration::from_secs(60), limiter.acquire(estimate(&one))).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn zero_lifts_a_limit_and_a_clone_shares_it() {
        let limits = Limits::default().concurrency(0).requests_per_minute(0).tokens_per_minute(0);
        let free = Limiter::new(limits);
        let one = request("x", 1);
        let (a, b) = (free.acquire(estimate(&one)).await, free.acquire(estimate(&one)).await);
        assert!(a.is_ok() && b.is_ok());

        let shared = Limiter::new(Limits::default().concurrency(1));
        let _slot = shared.clone().acquire(estimate(&one)).await.unwrap();
        assert!(timeout(Duration::from_secs(1), shared.acquire(estimate(&one))).await.is_err());
    }
}
