//! Retry policy: which failures are retried, how often, and with which backoff.

use std::future::Future;
use std::time::Duration;

use textgrad_core::{EngineError, Seed};
use tokio_util::sync::CancellationToken;

/// Retries with exponential backoff and jitter.
///
/// The defaults are those of the official OpenAI clients: 2 retries; a `retry-after` of the server is obeyed up to
/// 120 s, and fails the call beyond; without one, the backoff is 0.5 s, doubled with each retry up to 8 s, less a
/// jitter of up to a quarter. The jitter is derived from a seed, so that a run repeats. Final errors are never
/// retried.
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
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    max_retries: u32,
    initial_backoff: Duration,
    max_backoff: Duration,
    max_retry_after: Duration,
    seed: Seed,
    cancellation: CancellationToken,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 2,
            initial_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(120),
            seed: Seed::new(0),
            cancellation: CancellationToken::new(),
        }
    }
}

impl RetryPolicy {
    /// The number of retries after the first attempt. Default: 2.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// The wait before the first retry if the server names none; it doubles from there. Default: 0.5 s.
    #[must_use]
    pub fn initial_backoff(mut self, delay: Duration) -> Self {
        self.initial_backoff = delay;
        self
    }

    /// The longest wait if the server names none. Default: 8 s.
    #[must_use]
    pub fn max_backoff(mut self, delay: Duration) -> Self {
        self.max_backoff = delay;
        self
    }

    /// The longest `retry-after` of a server that is obeyed; with a longer one the call fails. Default: 120 s.
    #[must_use]
    pub fn max_retry_after(mut self, delay: Duration) -> Self {
        self.max_retry_after = delay;
        self
    }

    /// The seed of the jitter. Calls that fail together should have seeds of their own, or they all come
    /// back together.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Cancellation: nothing is retried after it, and a wait for the next attempt ends. The call then fails with
    /// the error that it had.
    #[must_use]
    pub fn cancellation(mut self, token: CancellationToken) -> Self {
        self.cancellation = token;
        self
    }

    /// How long to wait before retry number `retry` (the first is 1); `None` if the error is to be final.
    #[must_use]
    pub fn delay(&self, error: &EngineError, retry: u32) -> Option<Duration> {
        if retry > self.max_retries || !error.is_retryable() {
            return None;
        }
        match error.retry_after() {
            Some(delay) if delay > self.max_retry_after => None,
            Some(delay) if !delay.is_zero() => Some(delay),
            _ => {
                let doublings = retry.saturating_sub(1).min(31);
                let delay =
                    self.initial_backoff.saturating_mul(1 << doublings).min(self.max_backoff);
                let share = 1.0 - 0.25 * self.jitter(retry);
                let spread = Duration::try_from_secs_f64(delay.as_secs_f64() * share);
                Some(spread.unwrap_or(delay))
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
    pub(super) async fn run_after<T, F, Fut>(
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
        while let Some(delay) = self.delay(&error, attempt) {
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
        if let Some(delay) = asked.filter(|_| error.is_retryable() && self.max_retries > 0) {
            let longest = self.max_retry_after;
            message.push_str(&format!(
                "{separator}the server asks to wait {delay:?}, longer than {longest:?}"
            ));
        }
        error.with_message(message)
    }

    /// A number in `[0, 1)` of 53 random bits.
    fn jitter(&self, retry: u32) -> f64 {
        let bits = self.seed.child("retry", u64::from(retry)).value() >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let jitter = bits as f64 / (1_u64 << 53) as f64;
        jitter
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use textgrad_core::ErrorKind;
    use tokio::time::Instant;

    use super::*;

    fn server() -> EngineError {
        EngineError::new(ErrorKind::Server, "down")
    }

    fn busy(wish: f64) -> EngineError {
        EngineError::new(ErrorKind::RateLimited, "busy")
            .with_status(429)
            .with_retry_after(Duration::from_secs_f64(wish))
    }

    #[test]
    fn waits_double_up_to_the_longest_less_a_quarter_at_most() {
        let policy = RetryPolicy::default().max_retries(200);
        let mut shares = Vec::new();
        for retry in 1..=200 {
            let full = (0.5 * 2_f64.powi(i32::try_from(retry).unwrap() - 1)).min(8.0);
            let wait = policy.delay(&server(), retry).unwrap().as_secs_f64();
            assert!(wait <= full && wait > full * 0.75, "{retry}: {wait}");
            shares.push(wait / full);
        }
        shares.sort_by(f64::total_cmp);
        assert!(shares[0] < 0.76 && shares[199] > 0.99, "the jitter uses its whole range");
    }

    #[test]
    fn the_jitter_repeats_with_its_seed() {
        let policy = RetryPolicy::default().seed(Seed::new(1));
        assert_eq!(policy.delay(&server(), 1), policy.delay(&server(), 1));
        assert_ne!(policy.delay(&server(), 1), policy.seed(Seed::new(2)).delay(&server(), 1));
    }

    #[test]
    fn no_setting_makes_a_wait_overflow() {
        let policy = RetryPolicy::default()
            .max_retries(u32::MAX)
            .initial_backoff(Duration::MAX)
            .max_backoff(Duration::MAX);
        assert!(policy.delay(&server(), u32::MAX).is_some_and(|wait| wait > Duration::MAX / 2));
    }

    #[test]
    fn the_servers_wish_is_followed_exactly_up_to_the_longest() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(&busy(0.25), 1), Some(Duration::from_millis(250)));
        assert_eq!(policy.delay(&busy(120.0), 2), Some(Duration::from_secs(120)));
        assert_eq!(policy.delay(&busy(120.001), 1), None);
        assert!(policy.delay(&busy(0.0), 1).is_some_and(|wait| !wait.is_zero()));
    }

    #[test]
    fn nothing_is_retried_that_is_final_or_once_too_often() {
        let policy = RetryPolicy::default();
        assert!(policy.delay(&server(), 2).is_some());
        assert_eq!(policy.delay(&server(), 3), None);
        assert_eq!(policy.clone().max_retries(0).delay(&server(), 1), None);
        assert_eq!(policy.delay(&server().with_retryable(false), 1), None);
        let told = EngineError::new(ErrorKind::InvalidRequest, "x").with_retryable(true);
        assert!(policy.delay(&told, 1).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_tells_the_attempts_and_keeps_the_rest() {
        let start = Instant::now();
        let mut attempts = Vec::new();
        let error = RetryPolicy::default()
            .run(|attempt| {
                attempts.push(attempt);
                async { Err::<(), _>(busy(3.0).with_source(std::io::Error::other("cause"))) }
            })
            .await
            .unwrap_err();
        assert_eq!(attempts, [1, 2, 3]);
        assert_eq!(start.elapsed(), Duration::from_secs(6));
        assert_eq!(error.to_string(), "busy; gave up after 3 attempts (HTTP 429)");
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::RateLimited, Some(Duration::from_secs(3)))
        );
        assert_eq!(error.source().unwrap().to_string(), "cause");
        assert!(error.source().unwrap().source().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_too_long_fails_at_once_and_says_so() {
        let start = Instant::now();
        let error =
            RetryPolicy::default().run(|_| async { Err::<(), _>(busy(300.0)) }).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(error.message(), "busy; the server asks to wait 300s, longer than 120s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_error_after_a_retry_ends_it() {
        let error = RetryPolicy::default()
            .run(|attempt| async move {
                Err::<(), _>(if attempt == 1 {
                    server()
                } else {
                    EngineError::new(ErrorKind::Auth, "key")
                })
            })
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "key; gave up after 2 attempts");
        assert!(!error.is_retryable());
    }
}
