//! The default stack of layers, and the policy of calls that engines and reward servers share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use textgrad_core::{Engine, EngineError, Seed};

use super::timeout::within;
use super::{EngineExt, Limiter, Limits, RetryPolicy};
use crate::store::Cache;
#[cfg(feature = "disk-cache")]
use crate::store::DiskCache;

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
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until calls are made with them"]
pub struct CallPolicy {
    timeout: Duration,
    limiter: Limiter,
    retry: RetryPolicy,
}

impl Default for CallPolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(600),
            limiter: Limits::default().into(),
            retry: RetryPolicy::default(),
        }
    }
}

impl CallPolicy {
    /// The time limit of each attempt. Default: 600 s, as in the official OpenAI clients.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Limits on concurrency and rates. Default: none.
    pub fn limits(mut self, limits: impl Into<Limiter>) -> Self {
        self.limiter = limits.into();
        self
    }

    /// The retry policy.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Makes a call with the number of the attempt, from 1, until it succeeds or its error is final. Each attempt
    /// waits for the limiter, which counts it with `tokens`. `seed` spreads the waits between attempts: calls that
    /// fail together should have different ones.
    ///
    /// # Errors
    /// Those of [`RetryPolicy::run`]; [`Timeout`](textgrad_core::ErrorKind::Timeout) for an attempt that takes too
    /// long.
    pub async fn run<T, F, Fut>(
        &self,
        seed: Seed,
        tokens: u64,
        mut call: F,
    ) -> Result<T, EngineError>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, EngineError>>,
    {
        let retry = self.retry.clone().seed(seed);
        let attempt = |attempt| {
            let call = call(attempt);
            async move {
                let _permit = self.limiter.acquire(tokens).await;
                within(self.timeout, "the server", call).await
            }
        };
        retry.run(attempt).await
    }
}

/// The default stack of layers: timeout, limit, retry, complete_choices, cache (if one is given), and trace.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Response, engine_fn};
/// use textgrad_ops::layer::{DefaultStack, EngineExt, Limits};
/// use textgrad_ops::store::CacheConfig;
///
/// let engine = engine_fn("mine", |_| async { Ok(Response::new(vec![Choice::new("hi", FinishReason::Stop)])) });
/// let stack = DefaultStack::default()
///     .limits(Limits::default().concurrency(64))
///     .cache(CacheConfig::default());
/// assert_eq!(engine.default_stack(stack).name(), "mine");
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "settings do nothing until they are put around an engine"]
pub struct DefaultStack {
    calls: CallPolicy,
    cache: Option<Cache>,
    #[cfg(feature = "disk-cache")]
    disk_cache: Option<DiskCache>,
}

impl DefaultStack {
    /// See [`CallPolicy::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.calls = self.calls.timeout(timeout);
        self
    }

    /// See [`CallPolicy::limits`].
    pub fn limits(mut self, limits: impl Into<Limiter>) -> Self {
        self.calls = self.calls.limits(limits);
        self
    }

    /// See [`CallPolicy::retry`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.calls = self.calls.retry(policy);
        self
    }

    /// The cache in memory. Default: none.
    pub fn cache(mut self, cache: impl Into<Cache>) -> Self {
        self.cache = Some(cache.into());
        self
    }

    /// The cache in a file, beneath the one in memory. Default: none.
    #[cfg(feature = "disk-cache")]
    pub fn disk_cache(mut self, cache: impl Into<DiskCache>) -> Self {
        self.disk_cache = Some(cache.into());
        self
    }

    pub(super) fn layer<E: Engine + 'static>(self, engine: E) -> Arc<dyn Engine> {
        let CallPolicy { timeout, limiter, retry } = self.calls;
        // The completion is outside of the retries, so that each missing choice has retries of its own.
        let complete = engine.timeout(timeout).limit(limiter).retry(retry).complete_choices();
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
    use textgrad_core::{ErrorKind, Message, Purpose, Request, Sampling};

    use super::*;
    use crate::store::CacheConfig;

    #[tokio::test(start_paused = true)]
    async fn a_failed_answer_is_retried_alone_and_the_whole_is_cached() {
        let script = Arc::new(ScriptedEngine::new([
            Reply::text("a"),
            Reply::error(EngineError::new(ErrorKind::Server, "down")),
            Reply::text("b"),
        ]));
        let engine = Arc::clone(&script)
            .default_stack(DefaultStack::default().cache(CacheConfig::default()));
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
        use crate::store::DiskCacheConfig;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let disk = DiskCache::open(path, DiskCacheConfig::default()).await.unwrap();
        let memory = Cache::new(CacheConfig::default());
        let layers = DefaultStack::default().cache(&memory).disk_cache(&disk);
        let request = Request::new(Purpose::Sample, [Message::user("hi")]);
        let engine = ScriptedEngine::new(["a"]).default_stack(layers.clone());
        for _ in 0..2 {
            assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "a");
        }
        assert_eq!((memory.stats().hits, disk.stats().hits, disk.stats().misses), (1, 0, 1));
        // A later process, with nothing in memory.
        let engine =
            ScriptedEngine::new([""; 0]).default_stack(layers.cache(CacheConfig::default()));
        assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "a");
        assert_eq!(disk.stats().hits, 1);
    }
}
