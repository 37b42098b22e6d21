//! The usual setup.

use std::sync::Arc;
use std::time::Duration;

use textgrad_core::Engine;

#[cfg(feature = "disk-cache")]
use super::DiskCache;
use super::{Cache, EngineExt, Limiter, Limits, RetryPolicy};

/// The layers of a usual setup: timeout, limit, retry, fill, a cache if one is given, and trace.
///
/// # Examples
/// ```
/// use textgrad_ops::engine::layer::{CacheConfig, Limits, Standard};
/// use textgrad_ops::engine::{EngineExt, OpenAi};
///
/// let engine = OpenAi::builder("http://localhost:8000/v1", "llama-3.1-8b").build()?.standard(
///     Standard::default()
///         .limits(Limits::default().concurrency(64))
///         .cache(CacheConfig::default()),
/// );
/// assert_eq!(engine.name(), "openai:llama-3.1-8b");
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until they are put around an engine"]
pub struct Standard {
    timeout: Duration,
    limiter: Limiter,
    retry: RetryPolicy,
    cache: Option<Cache>,
    #[cfg(feature = "disk-cache")]
    disk_cache: Option<DiskCache>,
}

impl Default for Standard {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(600),
            limiter: Limits::default().into(),
            retry: RetryPolicy::default(),
            cache: None,
            #[cfg(feature = "disk-cache")]
            disk_cache: None,
        }
    }
}

impl Standard {
    /// How long one attempt may take; 600 s by default, as the official OpenAI clients have it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What may be asked at a time and per minute; everything by default.
    pub fn limits(mut self, limits: impl Into<Limiter>) -> Self {
        self.limiter = limits.into();
        self
    }

    /// What is asked again, and when.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Where answers are kept in memory; nowhere by default.
    pub fn cache(mut self, cache: impl Into<Cache>) -> Self {
        self.cache = Some(cache.into());
        self
    }

    /// The file in which answers are kept, beneath what is kept in memory; none by default.
    #[cfg(feature = "disk-cache")]
    pub fn disk_cache(mut self, cache: impl Into<DiskCache>) -> Self {
        self.disk_cache = Some(cache.into());
        self
    }

    pub(super) fn around<E: Engine + 'static>(self, engine: E) -> Arc<dyn Engine> {
        let filled = engine.timeout(self.timeout).limit(self.limiter).retry(self.retry).fill();
        #[cfg(feature = "disk-cache")]
        if let Some(disk) = self.disk_cache {
            return remembered(filled.disk_cached(disk), self.cache);
        }
        remembered(filled, self.cache)
    }
}

fn remembered<E: Engine + 'static>(engine: E, cache: Option<Cache>) -> Arc<dyn Engine> {
    match cache {
        Some(cache) => Arc::new(engine.cached(cache).traced()),
        None => Arc::new(engine.traced()),
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::testing::{Reply, ScriptedEngine};
    use textgrad_core::{EngineError, ErrorKind, Message, Purpose, Request, Sampling};

    use super::super::CacheConfig;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_answer_is_retried_alone_and_the_whole_is_cached() {
        let script = Arc::new(ScriptedEngine::new([
            Reply::text("a"),
            Reply::error(EngineError::new(ErrorKind::Server, "down")),
            Reply::text("b"),
        ]));
        let engine =
            Arc::clone(&script).standard(Standard::default().cache(CacheConfig::default()));
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
        use super::super::{Cache, DiskCacheConfig};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let disk = DiskCache::open(path, DiskCacheConfig::default()).await.unwrap();
        let memory = Cache::new(CacheConfig::default());
        let layers = Standard::default().cache(&memory).disk_cache(&disk);
        let request = Request::new(Purpose::Sample, [Message::user("hi")]);
        let engine = ScriptedEngine::new(["a"]).standard(layers.clone());
        for _ in 0..2 {
            assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "a");
        }
        assert_eq!((memory.stats().hits, disk.stats().hits, disk.stats().misses), (1, 0, 1));
        // A later process, with nothing in memory.
        let engine = ScriptedEngine::new([""; 0]).standard(layers.cache(CacheConfig::default()));
        assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "a");
        assert_eq!(disk.stats().hits, 1);
    }
}
