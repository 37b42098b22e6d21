//! Retries of failed requests: which failures, how often, and with which backoff.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use derive_setters::Setters;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response, Seed};
use tokio_util::sync::CancellationToken;

use super::Layer;
use super::pace::MIN_WARNED;
use crate::store::request_key;

/// Retries failed requests with exponential backoff and jitter; see
/// [`EngineExt::retry`](super::EngineExt::retry).
///
/// The defaults are those of the official OpenAI clients: 2 retries; a `retry-after` of the server is obeyed up to
/// 120 s, and fails the call beyond; without one, the backoff is 0.5 s, doubled with each retry up to 8 s, less a
/// jitter of up to a quarter. The jitter is derived from a seed, so that a run repeats. Final errors are never
/// retried. A reply that is invalid ([`BadResponse`](ErrorKind::BadResponse)) or has no answer
/// ([`NoAnswer`](ErrorKind::NoAnswer)) is whole and paid for: it is retried once.
///
/// A server whose model is [`Loading`](ErrorKind::Loading) is waited for up to 10 minutes, which does not count as
/// retries. The first such wait, or the first of a second or more that a server names, is warned of.
///
/// Around an engine, the jitter is derived from the request. The last error has the usage of all attempts. A response
/// has its own usage only: what a run records must not depend on which attempts failed. A meter inside this layer
/// counts every attempt.
///
/// # Examples
/// ```
/// use textgrad_core::{EngineError, ErrorKind};
/// use textgrad_ops::layer::RetryPolicy;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let scores = RetryPolicy::default()
///     .run(|attempt| async move {
///         match attempt {
///             1 => Err(EngineError::new(ErrorKind::Connection, "the server is not up yet")),
///             _ => Ok([0.5, -1.0]),
///         }
///     })
///     .await?;
/// assert_eq!(scores, [0.5, -1.0]);
/// # Ok::<(), EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Setters)]
pub struct RetryPolicy {
    /// The number of retries after the first attempt. Default: 2.
    max_retries: u32,
    /// The wait before the first retry if the server names none; it doubles from there. Default: 0.5 s.
    initial_backoff: Duration,
    /// The longest wait if the server names none. Default: 8 s.
    max_backoff: Duration,
    /// The longest `retry-after` of a server that is obeyed; with a longer one the call fails. Default: 120 s.
    max_retry_after: Duration,
    /// The longest wait in all for a server whose model is loading. Default: 10 minutes.
    max_loading: Duration,
    /// The seed of the jitter. Calls that fail together should have seeds of their own, or they all come
    /// back together.
    seed: Seed,
    /// Cancellation: nothing is retried after it, and a wait for the next attempt ends. The call then fails with
    /// the error that it had.
    pub(super) cancellation: CancellationToken,
    /// Whether a wait for the server was warned of.
    #[setters(skip)]
    warned: Arc<AtomicBool>,
}

/// Attempts and waits of one call.
#[derive(Debug, Default)]
struct Attempts {
    retries: u32,
    invalid: u32,
    loading: u32,
    loaded_for: Duration,
}

/// The longest wait between two looks at a server whose model is loading.
const MAX_LOADING_BACKOFF: Duration = Duration::from_secs(15);

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 2,
            initial_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(120),
            seed: Seed::new(0),
            cancellation: CancellationToken::new(),
            max_loading: Duration::from_secs(600),
            warned: Arc::default(),
        }
    }
}

impl RetryPolicy {
    /// How long to wait before retry number `retry` (the first is 1); `None` if the error is to be final.
    #[must_use]
    pub fn delay(&self, error: &EngineError, retry: u32) -> Option<Duration> {
        if retry > self.max_retries || !error.is_retryable() {
            return None;
        }
        match error.retry_after() {
            Some(delay) if delay > self.max_retry_after => None,
            Some(delay) if !delay.is_zero() => Some(delay),
            _ => Some(self.backoff(retry, self.max_backoff)),
        }
    }

    fn backoff(&self, retry: u32, longest: Duration) -> Duration {
        let doublings = retry.saturating_sub(1).min(31);
        let delay = self.initial_backoff.saturating_mul(1 << doublings).min(longest);
        let share = 1.0 - 0.25 * self.jitter(retry);
        Duration::try_from_secs_f64(delay.as_secs_f64() * share).unwrap_or(delay)
    }

    /// The wait before the next attempt of a call; `None` if the error is to be final.
    fn next(&self, error: &EngineError, attempts: &mut Attempts) -> Option<Duration> {
        match error.kind() {
            ErrorKind::Loading if error.is_retryable() => {
                attempts.loading += 1;
                let named = error.retry_after();
                let named =
                    named.filter(|delay| !delay.is_zero() && *delay <= self.max_retry_after);
                let delay =
                    named.unwrap_or_else(|| self.backoff(attempts.loading, MAX_LOADING_BACKOFF));
                attempts.loaded_for = attempts.loaded_for.saturating_add(delay);
                if attempts.loaded_for > self.max_loading {
                    return None;
                }
                if !self.warned.swap(true, Ordering::Relaxed) {
                    let longest = self.max_loading;
                    tracing::warn!("{}; waiting for it, up to {longest:?}", error.message());
                }
                Some(delay)
            }
            ErrorKind::BadResponse | ErrorKind::NoAnswer if attempts.invalid > 0 => None,
            kind => {
                let is_paid_for = matches!(kind, ErrorKind::BadResponse | ErrorKind::NoAnswer);
                attempts.invalid += u32::from(is_paid_for);
                attempts.retries += 1;
                let delay = self.delay(error, attempts.retries)?;
                let named = error.retry_after().filter(|_| delay >= MIN_WARNED);
                if named.is_some() && !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "{}; waiting for {delay:?}, as the server asks",
                        error.message()
                    );
                }
                Some(delay)
            }
        }
    }

    /// Calls `operation` with the number of the attempt, from 1, until it succeeds or its error is final.
    ///
    /// # Errors
    /// The last error, with the usage of all attempts. Its message names the number of attempts, if there was more
    /// than one, and a `retry-after` of the server that is too long.
    pub async fn run<T, F, Fut>(&self, mut operation: F) -> Result<T, EngineError>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, EngineError>>,
    {
        match operation(1).await {
            Ok(value) => Ok(value),
            Err(error) => self.run_after(error, operation).await,
        }
    }

    /// [`run`](Self::run) after a first attempt that failed.
    async fn run_after<T, F, Fut>(
        &self,
        mut error: EngineError,
        mut operation: F,
    ) -> Result<T, EngineError>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, EngineError>>,
    {
        let mut attempt = 1;
        let mut failed = error.usage();
        let mut attempts = Attempts::default();
        while let Some(delay) = self.next(&error, &mut attempts) {
            tracing::debug!(attempt, ?delay, kind = %error.kind(), "a call failed and is retried");
            tokio::select! {
                biased;
                () = self.cancellation.cancelled() => break,
                () = tokio::time::sleep(delay) => {}
            }
            attempt += 1;
            match operation(attempt).await {
                Ok(value) => return Ok(value),
                Err(next) => error = next,
            }
            failed += error.usage();
        }
        Err(self.last(error, attempt).with_usage(failed))
    }

    /// The last error, with notes on the attempts in its message.
    fn last(&self, error: EngineError, attempts: u32) -> EngineError {
        let mut message = error.message().to_owned();
        let mut separator = "; ";
        if attempts > 1 {
            message.push_str(&format!("; gave up after {attempts} attempts"));
            separator = ", ";
        }
        let asked = error.retry_after().filter(|delay| *delay > self.max_retry_after);
        let asked = asked.filter(|_| error.kind() != ErrorKind::Loading);
        if let Some(delay) = asked.filter(|_| error.is_retryable() && self.max_retries > 0) {
            let longest = self.max_retry_after;
            message.push_str(&format!(
                "{separator}the server asks to wait {delay:?}, longer than {longest:?}"
            ));
        }
        error.with_message(message)
    }

    /// A number in `[0, 1)`.
    fn jitter(&self, retry: u32) -> f64 {
        self.seed.child("retry", u64::from(retry)).unit()
    }
}

impl Layer for RetryPolicy {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let first = match engine.complete(request).await {
            // The key is only worth its hash where a wait is ahead.
            Err(error) if error.is_retryable() => error,
            result => return result,
        };
        let policy = self.clone().seed(request_key(engine.name(), request).seed());
        policy.run_after(first, |_| engine.complete(request)).await
    }
}

#[cfg(test)]
mod tests;
