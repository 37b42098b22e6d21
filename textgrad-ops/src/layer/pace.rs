//! Adaptive pacing of requests to a server that limits their rate.

use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use textgrad_core::EngineError;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until};

/// The pause after a first refusal, in seconds; it grows by `PAUSE_GROWTH` up to `MAX_PAUSE`.
const MIN_PAUSE: f64 = 1.0;
const PAUSE_GROWTH: f64 = 1.3;
const MAX_PAUSE: f64 = 60.0;

/// The longest wait that a server may name.
const MAX_NAMED: Duration = Duration::from_secs(120);

/// The longest time without a request that passes.
const MAX_LIMITED: Duration = Duration::from_secs(600);

/// The time after which requests that passed say nothing about the rate, in seconds.
const WINDOW: f64 = 60.0;

/// Factors of the interval for each request that passes: until the server refuses a paced request, and from then on.
const FAST_DECAY: f64 = 0.85;
const SLOW_DECAY: f64 = 0.99;

/// Smallest factor of the interval after a refusal of a paced request.
const MIN_INCREASE: f64 = 1.05;

/// The interval below which requests are not paced, in seconds.
const MIN_INTERVAL: f64 = 0.01;

/// Requests that must have passed before a wait that the server names shows its rate.
const MIN_PASSED: u32 = 3;

/// The pace of requests to one server, learned from its refusals.
///
/// A refusal pauses all requests. Pauses grow until a request passes. From then on, requests are spread to the rate at
/// which they passed, pauses included. Each request that passes raises this rate a little.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Requests start first come, first served.
    line: Mutex<()>,
    changed: Notify,
    state: StdMutex<PaceState>,
}

/// Times in seconds are floating-point numbers.
#[derive(Debug, Default)]
struct PaceState {
    /// No request starts before.
    next: Option<Instant>,
    /// The time between two requests; 0: no pacing.
    interval: f64,
    decay: Option<f64>,
    /// The beginning of the count of requests that passed.
    since: Option<Instant>,
    passed: u32,
    /// The first refusal after which no request has passed.
    limited_since: Option<Instant>,
    /// The last refusal. Requests that were sent before it tell nothing new.
    paused_at: Option<Instant>,
    pause: f64,
    is_named: bool,
    is_reported: bool,
}

impl PaceState {
    /// Starts a request, or returns when the next one may start.
    fn start(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(next) = self.next.filter(|next| now < *next) {
            return Err(next);
        }
        let is_limited = self.limited_since.is_some();
        let is_old =
            self.since.is_none_or(|since| now.duration_since(since).as_secs_f64() > WINDOW);
        if !is_limited && self.interval == 0.0 && is_old {
            (self.since, self.passed) = (Some(now), 0);
        }
        let gap = if is_limited { self.pause } else { self.interval };
        self.next = Some(now + Duration::from_secs_f64(gap));
        Ok(())
    }

    /// Whether a request was sent before the last refusal was known.
    fn is_stale(&self, sent: Instant) -> bool {
        self.paused_at.is_some_and(|at| sent < at)
    }

    /// Counts a request that passed. Returns the new interval if it ends a pause.
    fn pass(&mut self, sent: Instant) -> Option<f64> {
        self.passed = self.passed.saturating_add(1);
        if self.limited_since.is_none() {
            self.interval *= self.decay.unwrap_or(FAST_DECAY);
            if self.interval < MIN_INTERVAL {
                self.interval = 0.0;
            }
            return None;
        }
        if self.is_stale(sent) {
            return None;
        }
        self.limited_since = None;
        let elapsed = self.since.map_or(0.0, |since| sent.duration_since(since).as_secs_f64());
        if !self.is_named || self.passed >= MIN_PASSED {
            let measured = elapsed / f64::from(self.passed);
            self.interval = measured.max(self.interval * MIN_INCREASE).min(MAX_PAUSE);
        }
        (self.since, self.passed) = (Some(sent), 0);
        self.next = Some(sent + Duration::from_secs_f64(self.interval));
        Some(self.interval)
    }

    /// Counts a refusal. Returns whether the request may be sent again.
    fn refuse(&mut self, now: Instant, sent: Instant, named: Option<Duration>) -> bool {
        if named.is_some_and(|wait| wait > MAX_NAMED) {
            return false;
        }
        let first = *self.limited_since.get_or_insert(now);
        if !self.is_stale(sent) {
            self.pause = match named {
                Some(wait) => wait.as_secs_f64().min(MIN_PAUSE),
                None if first == now => self.interval.max(MIN_PAUSE),
                None => (self.pause * PAUSE_GROWTH).clamp(MIN_PAUSE, MAX_PAUSE),
            };
            if first == now && self.interval > 0.0 {
                self.decay = Some(SLOW_DECAY);
            }
            (self.paused_at, self.is_named) = (Some(now), named.is_some());
            self.next = Some(now + Duration::from_secs_f64(self.pause));
        }
        self.next = self.next.max(named.map(|wait| now + wait));
        now.duration_since(first) < MAX_LIMITED
    }
}

impl Pace {
    /// Waits until a request may start.
    pub(super) async fn start(&self) {
        // Held while it waits: this is the line.
        let _turn = self.line.lock().await;
        loop {
            let started = self.state().start(Instant::now());
            let Err(next) = started else { return };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Counts a request that the server did not refuse.
    pub(super) fn pass(&self, sent: Instant) {
        let mut state = self.state();
        let Some(interval) = state.pass(sent) else { return };
        let is_new = interval > 0.0 && !std::mem::replace(&mut state.is_reported, true);
        drop(state);
        self.changed.notify_one();
        if is_new {
            let per_minute = (60.0 / interval).ceil();
            tracing::warn!(
                "the server limits the rate of requests; they are spread to about {per_minute} per minute at first \
                 (set the rate with --requests-per-minute, for a reward server --reward-requests-per-minute)"
            );
        }
    }

    /// Counts a refusal for the rate of requests.
    ///
    /// # Errors
    /// The error, if the request is not to be sent again: the server names a wait that is too long, or no request has
    /// passed for ten minutes.
    pub(super) fn refuse(&self, sent: Instant, error: EngineError) -> Result<(), EngineError> {
        let named = error.retry_after().filter(|wait| !wait.is_zero());
        if self.state().refuse(Instant::now(), sent, named) {
            return Ok(());
        }
        if named.is_some_and(|wait| wait > MAX_NAMED) {
            return Err(error);
        }
        let message = format!(
            "{}; no request passed within {MAX_LIMITED:?}; set a lower rate (--requests-per-minute, \
             --reward-requests-per-minute) or try again later",
            error.message()
        );
        Err(error.with_message(message).with_retryable(false))
    }

    fn state(&self) -> MutexGuard<'_, PaceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use textgrad_core::{ErrorKind, Seed};

    use super::*;
    use crate::layer::{CallPolicy, Limiter, Limits, RetryPolicy};

    fn refused() -> EngineError {
        EngineError::new(ErrorKind::RateLimited, "Too many requests").with_status(429)
    }

    /// Sends so many requests, eight at a time. Returns the time that it took and the number of requests sent.
    async fn served(requests: usize, accept: impl FnMut(f64) -> bool) -> (f64, u32) {
        let (start, sent, accept) = (Instant::now(), AtomicU32::new(0), StdMutex::new(accept));
        let limiter = Limiter::new(Limits::default().concurrency(8));
        // Retries are for other failures.
        let calls =
            CallPolicy::default().limits(limiter).retry(RetryPolicy::default().max_retries(0));
        let call = |_| async {
            sent.fetch_add(1, Ordering::Relaxed);
            let is_accepted = (accept.lock().unwrap())(start.elapsed().as_secs_f64());
            tokio::time::sleep(Duration::from_millis(if is_accepted { 300 } else { 20 })).await;
            if is_accepted { Ok(()) } else { Err(refused()) }
        };
        let all = (0..requests).map(|_| calls.run(Seed::new(0), 0, call));
        for result in join_all(all).await {
            result.unwrap();
        }
        (start.elapsed().as_secs_f64(), sent.into_inner())
    }

    /// Kind: Errors | 429 without a wait, from a window or a bucket of any length | all requests pause; their rate
    /// adapts; no retries
    #[tokio::test(start_paused = true)]
    async fn a_server_that_names_no_wait_is_served_at_its_rate() {
        // A bucket of one request that refills every two seconds.
        let mut last = f64::NEG_INFINITY;
        let bucket = move |now: f64| {
            let is_full = now - last >= 2.0;
            last = if is_full { now } else { last };
            is_full
        };
        let (seconds, sent) = served(60, bucket).await;
        assert!(seconds < 120.0 * 1.4 && sent < 90, "{seconds} s, {sent} requests");

        // A sliding window of 10 requests in 60 seconds.
        let mut passed = VecDeque::new();
        let window = move |now: f64| {
            passed.retain(|at| now - at < 60.0);
            let is_open = passed.len() < 10;
            passed.extend(is_open.then_some(now));
            is_open
        };
        let (seconds, sent) = served(40, window).await;
        assert!(seconds < 240.0 * 1.2 && sent < 70, "{seconds} s, {sent} requests");

        // Two requests in each second of the clock.
        let mut second = (0.0, 0);
        let clock = move |now: f64| {
            second =
                if second.0 == now.floor() { (second.0, second.1 + 1) } else { (now.floor(), 1) };
            second.1 <= 2
        };
        let (seconds, sent) = served(100, clock).await;
        assert!(seconds < 50.0 * 1.4 && sent < 150, "{seconds} s, {sent} requests");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_everything_is_given_up() {
        let (start, calls) = (Instant::now(), CallPolicy::default());
        let run = || calls.run(Seed::new(0), 0, |_| async { Err::<(), _>(refused()) });
        let errors = join_all((0..5).map(|_| run())).await;
        for error in errors.into_iter().map(Result::unwrap_err) {
            let message = error.to_string();
            assert!(
                message.contains("Too many requests; no request passed within 600s"),
                "{message}"
            );
            assert!(
                message.contains("--requests-per-minute") && !error.is_retryable(),
                "{message}"
            );
        }
        let minutes = start.elapsed().as_secs() / 60;
        assert!((10..=16).contains(&minutes), "{minutes} minutes");
    }

    /// Kind: Errors | 429 with a wait of up to 120 s | all requests pause for it; no retries
    #[tokio::test(start_paused = true)]
    async fn a_wait_that_a_server_names_pauses_all_requests() {
        let (start, sent) = (Instant::now(), AtomicU32::new(0));
        let calls = CallPolicy::default().retry(RetryPolicy::default().max_retries(0));
        let call = |_| async {
            sent.fetch_add(1, Ordering::Relaxed);
            match start.elapsed() < Duration::from_secs(30) {
                true => Err(refused().with_retry_after(Duration::from_secs(31))),
                false => Ok(()),
            }
        };
        let run = || calls.run(Seed::new(0), 0, call);
        assert!(join_all((0..4).map(|_| run())).await.iter().all(Result::is_ok));
        assert_eq!(sent.load(Ordering::Relaxed), 5, "one refusal, then four that pass");
        assert_eq!(start.elapsed().as_secs(), 31);

        let long = |_| async { Err::<(), _>(refused().with_retry_after(Duration::from_secs(121))) };
        let begun = Instant::now();
        let error = calls.run(Seed::new(0), 0, long).await.unwrap_err();
        assert_eq!((error.is_retryable(), begun.elapsed()), (true, Duration::ZERO));
    }
}
