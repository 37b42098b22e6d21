//! Adaptive pacing of requests to a server that limits their rate, or that is down.

use std::time::Duration;

use parking_lot::Mutex;
use textgrad_core::{EngineError, ErrorKind};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The pause after a first refusal, in seconds; it grows by `PAUSE_GROWTH` up to `MAX_PAUSE`.
const MIN_PAUSE: f64 = 1.0;
const PAUSE_GROWTH: f64 = 1.3;
const MAX_PAUSE: f64 = 60.0;

/// The shortest wait that a server names and that is warned of.
pub(super) const MIN_WARNED: Duration = Duration::from_secs(1);

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

/// Attempts in a row that a server must fail to be taken for down: more than one request makes with its retries.
const MIN_FAILURES: u32 = 10;

/// Attempts that are made, one after the other, to see whether a server that is down is up again.
const MAX_PROBES: u32 = 6;

/// The longest pause between two of them, in seconds; the first one is `MIN_PAUSE`.
const MAX_PROBE_PAUSE: f64 = 8.0;

/// The pace of requests to one server, learned from its refusals and failures.
///
/// A refusal pauses all requests. Pauses grow until a request passes. From then on, requests are spread to the rate at
/// which they passed, pauses included. Each request that passes raises this rate a little.
///
/// A server that fails ten attempts in a row is taken for down: then one attempt is made at a time, after growing
/// pauses. When the sixth of them has failed, all requests that wait fail with its error.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Requests start first come, first served.
    line: tokio::sync::Mutex<()>,
    changed: Notify,
    state: Mutex<PaceState>,
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
    /// Whether a wait that the server names was warned of.
    is_wait_reported: bool,
    /// Attempts in a row that failed as those of a server that is down.
    failures: u32,
    /// When the first of them failed.
    failing_since: Option<Instant>,
    /// How often a server was given up, and the last error of it.
    given_up: u32,
    last_error: Option<EngineError>,
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
        let gap = if is_limited || self.is_down() { self.pause } else { self.interval };
        self.next = Some(now + Duration::from_secs_f64(gap));
        Ok(())
    }

    fn is_down(&self) -> bool {
        self.failures >= MIN_FAILURES
    }

    /// Ends the count of failures, if a request was sent after the first of them: an earlier one does not show that the
    /// server is up.
    fn recover(&mut self, sent: Instant) {
        if self.failing_since.is_some_and(|since| sent < since) {
            return;
        }
        self.failing_since = None;
        if std::mem::take(&mut self.failures) >= MIN_FAILURES {
            self.next = None;
        }
    }

    /// Counts an attempt that failed.
    fn fail(&mut self, now: Instant, sent: Instant, error: &EngineError) {
        let is_outage = matches!(error.kind(), ErrorKind::Connection | ErrorKind::Server);
        if !is_outage || !error.is_retryable() {
            self.recover(sent);
        } else if !self.is_stale(sent) {
            self.failures += 1;
            self.failing_since.get_or_insert(now);
            if let Some(probes) = self.failures.checked_sub(MIN_FAILURES) {
                let longer = 2_f64.powi(probes.min(MAX_PROBES) as i32);
                self.pause = (MIN_PAUSE * longer).min(MAX_PROBE_PAUSE);
                (self.paused_at, self.is_named) = (Some(now), false);
                self.next = Some(now + Duration::from_secs_f64(self.pause));
                if probes >= MAX_PROBES {
                    self.failures = MIN_FAILURES;
                    self.given_up += 1;
                    self.last_error = Some(error.clone());
                }
            }
        }
    }

    /// Whether a request was sent before the last refusal was known.
    fn is_stale(&self, sent: Instant) -> bool {
        self.paused_at.is_some_and(|at| sent < at)
    }

    /// Counts a request that passed. Returns the new interval if it ends a pause.
    fn pass(&mut self, sent: Instant) -> Option<f64> {
        self.passed = self.passed.saturating_add(1);
        self.recover(sent);
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
    ///
    /// # Errors
    /// That of a server that was given up while the request waited.
    pub(super) async fn start(&self) -> Result<(), EngineError> {
        let given_up = self.state.lock().given_up;
        // Held while it waits: this is the line.
        let _turn = self.line.lock().await;
        loop {
            let started = {
                let mut state = self.state.lock();
                if let Some(error) = state.last_error.as_ref().filter(|_| state.given_up > given_up)
                {
                    let attempts = MIN_FAILURES + MAX_PROBES;
                    let message = format!(
                        "{}; the last {attempts} attempts failed like this",
                        error.message()
                    );
                    return Err(error.clone().with_message(message).with_retryable(false));
                }
                state.start(Instant::now())
            };
            let Err(next) = started else { return Ok(()) };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Counts an attempt that failed, other than for the rate of requests.
    pub(super) fn fail(&self, sent: Instant, error: &EngineError) {
        let mut state = self.state.lock();
        let was_down = state.is_down();
        let given_up = state.given_up;
        state.fail(Instant::now(), sent, error);
        let (is_down, is_given_up) = (state.is_down(), state.given_up > given_up);
        drop(state);
        if is_down && !was_down {
            tracing::warn!(
                "{}; the server failed {MIN_FAILURES} attempts in a row, so one is made at a time",
                error.message()
            );
        }
        if is_given_up || (was_down && !is_down) {
            self.changed.notify_one();
        }
    }

    /// Counts a request that the server did not refuse.
    pub(super) fn pass(&self, sent: Instant) {
        let mut state = self.state.lock();
        if state.is_down() {
            self.changed.notify_one();
        }
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
        let mut state = self.state.lock();
        let is_waited = state.refuse(Instant::now(), sent, named);
        let long = named.filter(|wait| is_waited && *wait >= MIN_WARNED);
        let long = long.filter(|_| !std::mem::replace(&mut state.is_wait_reported, true));
        drop(state);
        if let Some(wait) = long {
            tracing::warn!("{}; waiting for {wait:?}, as the server asks", error.message());
        }
        if is_waited {
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
}

#[cfg(test)]
mod tests;
