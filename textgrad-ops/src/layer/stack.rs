//! Time limits, the policy of calls that engines and reward servers share, and the default stack of layers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response, Seed};

use super::{Breaker, EngineExt, Layer, Limiter, Limits, RetryPolicy};
use crate::store::Cache;
#[cfg(feature = "disk-cache")]
use crate::store::SqliteCache;

/// Gives each attempt a bounded time; see [`EngineExt::timeout`].
#[derive(Debug, Clone, Copy)]
pub struct Timeout(pub(super) Duration);

impl Layer for Timeout {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        within(self.0, engine.name(), engine.complete(request)).await
    }
}

/// Bounds the time of one attempt.
async fn within<T>(
    limit: Duration,
    name: &str,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        Err(EngineError::new(
            ErrorKind::Timeout,
            format!(
                "expected an answer of {name} within {limit:?}, got none; allow more time or ask for shorter answers"
            ),
        ))
    })
}

/// Timeout, limits and retries of calls to a server: to an engine through a [`DefaultStack`], to any other server
/// through [`run`](Self::run).
///
/// # Examples
/// ```
/// use textgrad_core::{EngineError, Seed};
/// use textgrad_ops::layer::{CallPolicy, Limits};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let policy = CallPolicy::default().limits(Limits::default().concurrency(64));
/// let score = policy.run(Seed::new(0), 0, |_attempt| async { Ok(0.5) }).await?;
/// assert_eq!(score, 0.5);
/// # Ok::<(), EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(generate_delegates(ty = "DefaultStack", field = "calls"))]
#[must_use = "settings do nothing until calls are made with them"]
pub struct CallPolicy {
    /// The time limit of each attempt. Default: 600 s, as in the official OpenAI clients.
    timeout: Duration,
    /// Limits on concurrency and rates. Default: none.
    #[setters(into)]
    limits: Limiter,
    /// The retry policy.
    retry: RetryPolicy,
    /// The breaker. Default: one that never opens.
    breaker: Breaker,
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(600),
            limits: Limits::default().into(),
            retry: RetryPolicy::default(),
            breaker: Breaker::default(),
        }
    }
}

impl CallPolicy {
    /// Makes a call with the number of the attempt, from 1, until it succeeds or its error is final. Each attempt
    /// waits for the limiter, which counts it with `tokens`. `seed` spreads the waits between attempts: calls that
    /// fail together should have different ones.
    ///
    /// # Errors
    /// Those of [`RetryPolicy::run`]; [`Timeout`](textgrad_core::ErrorKind::Timeout) for an attempt that takes too
    /// long; that of an open [`Breaker`].
    pub async fn run<T, F, Fut>(&self, seed: Seed, tokens: u64, call: F) -> Result<T, EngineError>
    where
        F: Fn(u32) -> Fut,
        Fut: Future<Output = Result<T, EngineError>>,
    {
        self.breaker.check()?;
        let retry = self.retry.clone().seed(seed);
        let limits = self.limits.clone().cancellation(retry.cancellation.clone());
        let (call, limits) = (&call, &limits);
        let attempt =
            |attempt| limits.run(tokens, move || within(self.timeout, "the server", call(attempt)));
        let result = retry.run(attempt).await;
        self.breaker.observe(&result);
        result
    }
}

/// The default stack of layers: timeout, limit, retry, breaker, complete_choices, cache (if one is given), and trace.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Response, engine_fn};
/// use textgrad_ops::layer::{DefaultStack, EngineExt, Limits};
/// use textgrad_ops::store::Cache;
///
/// let engine = engine_fn("mine", |_| async { Ok(Response::new(vec![Choice::new("hi", FinishReason::Stop)])) });
/// let stack = DefaultStack::default()
///     .limits(Limits::default().concurrency(64))
///     .cache(Cache::default());
/// assert_eq!(engine.default_stack(stack).name(), "mine");
/// ```
#[derive(Debug, Clone, Default, Setters)]
#[setters(into, strip_option)]
#[must_use = "settings do nothing until they are put around an engine"]
pub struct DefaultStack {
    #[setters(skip)]
    calls: CallPolicy,
    /// The cache in memory. Default: none.
    cache: Option<Cache>,
    /// The cache in a file, beneath the one in memory. Default: none.
    #[cfg(feature = "disk-cache")]
    disk_cache: Option<SqliteCache>,
}

impl DefaultStack {
    pub(super) fn layer<E: Engine + 'static>(self, engine: E) -> Arc<dyn Engine> {
        let CallPolicy { timeout, limits, retry, breaker } = self.calls;
        // The completion is outside of the retries, so that each missing choice has retries of its own.
        let calls = engine
            .timeout(timeout)
            .limit(limits.cancellation(retry.cancellation.clone()))
            .retry(retry)
            .breaker(&breaker);
        let complete = calls.complete_choices();
        #[cfg(feature = "disk-cache")]
        if let Some(disk) = self.disk_cache {
            return cached(complete.disk_cached(disk), self.cache);
        }
        cached(complete, self.cache)
    }
}

fn cached<E: Engine + 'static>(engine: E, cache: Option<Cache>) -> Arc<dyn Engine> {
    match cache {
        Some(cache) => Arc::new(engine.cached(cache).traced()),
        None => Arc::new(engine.traced()),
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::testing::{Reply, ScriptedEngine};
    use textgrad_core::{Choice, FinishReason, Message, Purpose, Sampling, engine_fn};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_answer_is_retried_alone_and_the_whole_is_cached() {
        let script = Arc::new(ScriptedEngine::new([
            Reply::text("a"),
            Reply::error(EngineError::new(ErrorKind::Server, "down")),
            Reply::text("b"),
        ]));
        let engine =
            Arc::clone(&script).default_stack(DefaultStack::default().cache(Cache::default()));
        let request = Request::new(Purpose::Sample, [Message::user("hi")])
            .with_sampling(Sampling::default().with_n(2).with_seed(5));
        for _ in 0..2 {
            let texts: Vec<String> = engine
                .complete(&request)
                .await
                .unwrap()
                .choices
                .into_iter()
                .map(|choice| choice.text)
                .collect();
            assert_eq!(texts, ["a", "b"]);
        }
        let asked: Vec<_> =
            script.requests().iter().map(|r| (r.sampling.n, r.sampling.seed)).collect();
        assert_eq!(asked, [(2, Some(5)), (1, Some(6)), (1, Some(6))]);
    }
    #[cfg(feature = "disk-cache")]
    #[tokio::test]
    async fn a_file_is_beneath_what_is_in_memory() {
        use crate::store::SqliteConfig;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let disk = SqliteCache::open(path, SqliteConfig::default()).await.unwrap();
        let memory = Cache::default();
        let layers = DefaultStack::default().cache(&memory).disk_cache(&disk);
        let request = Request::new(Purpose::Sample, [Message::user("hi")]);
        let engine = ScriptedEngine::new(["a"]).default_stack(layers.clone());
        for _ in 0..2 {
            assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "a");
        }
        assert_eq!((memory.stats().hits, disk.stats().hits, disk.stats().misses), (1, 0, 1));
        // A later process, with nothing in memory.
        let engine = ScriptedEngine::new([""; 0]).default_stack(layers.cache(Cache::default()));
        assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "a");
        assert_eq!(disk.stats().hits, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_if_it_comes_in_time() {
        let slow = engine_fn("slow", |request: Request| async move {
            let seconds = request.messages[0].text().parse().unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(Response::new(vec![Choice::new("done", FinishReason::Stop)]))
        });
        let engine = slow.timeout(Duration::from_secs(10));
        let ask = |seconds: &str| Request::new(Purpose::Sample, [Message::user(seconds)]);
        assert!(engine.complete(&ask("9")).await.is_ok());

        let start = Instant::now();
        let error = engine.complete(&ask("11")).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.is_retryable());
        assert!(error.to_string().contains("of slow within 10s"), "{error}");
    }
}
