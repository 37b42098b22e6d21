//! Layers as methods of engines.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use textgrad_core::{Engine, EngineError};

use super::{
    Budget, Budgeted, Cached, CompleteChoices, DefaultStack, Limit, Limiter, Meter, Metered, Retry,
    RetryPolicy, Timeout, Traced,
};
use crate::store::{Cache, Logged, Record, RunLogger};
#[cfg(feature = "disk-cache")]
use crate::store::{DiskCache, SqliteStore};

/// Puts layers around any engine; see the [module](super) for the order in which they belong.
///
/// Each method takes an engine and returns an engine of the same [`EngineInfo`](textgrad_core::EngineInfo).
pub trait EngineExt: Engine + Sized + 'static {
    /// Gives each call `limit` to be answered, then fails it with a retryable
    /// [`Timeout`](textgrad_core::ErrorKind::Timeout).
    fn timeout(self, limit: Duration) -> Timeout<Self> {
        Timeout::new(self, limit)
    }

    /// Keeps within [`Limits`](super::Limits), of its own or of a shared [`Limiter`]. Calls wait, first come,
    /// first served; none fails.
    fn limit(self, limits: impl Into<Limiter>) -> Limit<Self> {
        Limit::new(self, limits.into())
    }

    /// Retries calls that failed for a transient reason.
    fn retry(self, policy: RetryPolicy) -> Retry<Self> {
        Retry::new(self, policy)
    }

    /// Requests the choices that a server left out, one by one.
    fn complete_choices(self) -> CompleteChoices<Self> {
        CompleteChoices::new(self)
    }

    /// Caches responses in memory, in a cache of its own or a shared one, and makes equal concurrent requests once.
    fn cached(self, cache: impl Into<Cache>) -> Cached<Self> {
        Cached::new(self, cache.into())
    }

    /// Caches responses in a file that other processes may use too, and makes equal concurrent requests once.
    #[cfg(feature = "disk-cache")]
    fn disk_cached(self, cache: impl Into<DiskCache>) -> Cached<Self, SqliteStore> {
        Cached::new(self, cache.into())
    }

    /// Opens a span with the OpenTelemetry GenAI names for each call.
    fn traced(self) -> Traced<Self> {
        Traced::new(self)
    }

    /// Counts calls and tokens with a meter that the caller keeps.
    fn metered(self, meter: &Meter) -> Metered<Self> {
        Metered::new(self, meter.clone())
    }

    /// Spends from a [`Budget`] that engines may share: where it is used up, calls fail with
    /// [`ErrorKind::Budget`](textgrad_core::ErrorKind::Budget).
    ///
    /// # Errors
    /// If the budget is of money and has no price for the engine.
    fn budget(self, budget: &Budget) -> Result<Budgeted<Self>, EngineError> {
        Budgeted::new(self, budget.clone())
    }

    /// Writes each call to a log that the caller keeps, for people; see [`RunLog`](crate::store::RunLog).
    fn logged(self, log: &RunLogger) -> Logged<Self> {
        Logged::new(self, log.clone())
    }

    /// Writes each request and its answer to a new file, for [`Replay`](crate::store::Replay).
    ///
    /// # Errors
    /// If the file exists already (recordings cost money: none is overwritten) or cannot be made.
    fn record(
        self,
        path: impl Into<PathBuf>,
    ) -> impl Future<Output = Result<Record<Self>, EngineError>> + Send {
        Record::create(self, path.into())
    }

    /// All layers of a [`DefaultStack`], in their order.
    fn default_stack(self, stack: DefaultStack) -> Arc<dyn Engine> {
        stack.layer(self)
    }
}

impl<E: Engine + 'static> EngineExt for E {}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use textgrad_core::testing::ScriptedEngine;
    use textgrad_core::{EngineInfo, Message, Purpose, Request, Response};

    use super::super::Limits;
    use super::*;
    #[cfg(feature = "disk-cache")]
    use crate::store::DiskCacheConfig;
    use crate::store::{CacheConfig, Replay};

    static INFO: LazyLock<EngineInfo> = LazyLock::new(|| {
        EngineInfo::from_static("sim:x").with_identity("sim:x somewhere").with_simulation(true)
    });

    struct Simulated;

    #[async_trait::async_trait]
    impl Engine for Simulated {
        fn info(&self) -> &EngineInfo {
            &INFO
        }

        async fn complete(&self, _: &Request) -> Result<Response, EngineError> {
            ScriptedEngine::new(["simulated"]).complete(&Request::new(Purpose::Sample, [])).await
        }
    }

    fn stacked<E: Engine + 'static>(engine: E, meter: &Meter) -> Arc<dyn Engine> {
        Arc::new(
            engine
                .timeout(Duration::from_secs(1))
                .limit(Limits::default().concurrency(2))
                .retry(RetryPolicy::default())
                .complete_choices()
                .cached(CacheConfig::default())
                .traced()
                .metered(meter),
        )
    }

    #[test]
    fn every_layer_can_be_shared_between_threads() {
        fn assert_shareable<T: Send + Sync + 'static>() {}
        assert_shareable::<Timeout<Arc<dyn Engine>>>();
        assert_shareable::<Limit<Arc<dyn Engine>>>();
        assert_shareable::<Retry<Arc<dyn Engine>>>();
        assert_shareable::<CompleteChoices<Arc<dyn Engine>>>();
        assert_shareable::<Cached<Arc<dyn Engine>>>();
        assert_shareable::<Traced<Arc<dyn Engine>>>();
        assert_shareable::<Metered<Arc<dyn Engine>>>();
        assert_shareable::<Logged<Arc<dyn Engine>>>();
        assert_shareable::<Record<Arc<dyn Engine>>>();
        assert_shareable::<Replay>();
        assert_shareable::<Meter>();
        assert_shareable::<Cache>();
        assert_shareable::<Limiter>();
    }

    #[test]
    fn a_layer_gives_its_engine_back() {
        let engine = Simulated.timeout(Duration::from_secs(1)).retry(RetryPolicy::default());
        assert_eq!(engine.get_ref().get_ref().name(), "sim:x");
        let engine: Simulated = engine.into_inner().into_inner();
        assert!(engine.is_simulation());
    }

    #[tokio::test]
    async fn layers_compose_over_any_engine_and_pass_its_name_and_nature_on() {
        let meter = Meter::default();
        let boxed: Arc<dyn Engine> = Arc::new(Simulated);
        for engine in [
            stacked(Simulated, &meter),
            stacked(boxed, &meter),
            Simulated.default_stack(DefaultStack::default()),
        ] {
            assert_eq!(engine.name(), "sim:x");
            assert_eq!(engine.identity(), "sim:x somewhere");
            assert!(engine.is_simulation());
            let request = Request::new(Purpose::Sample, [Message::user("hi")]);
            assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "simulated");
        }
        let folder = tempfile::tempdir().unwrap();
        let recorded = Simulated.record(folder.path().join("run.jsonl")).await.unwrap();
        let log = RunLogger::open(folder.path().join("log.jsonl")).await.unwrap();
        let logged = Simulated.logged(&log);
        for engine in [&recorded as &dyn Engine, &logged] {
            assert_eq!((engine.name(), engine.identity()), ("sim:x", "sim:x somewhere"));
            assert!(engine.is_simulation());
        }
        let budgeted = Simulated.budget(&Budget::builder().calls(1).build()).unwrap();
        assert_eq!((budgeted.name(), budgeted.identity()), ("sim:x", "sim:x somewhere"));
        assert!(budgeted.is_simulation());
        #[cfg(feature = "disk-cache")]
        {
            let file = folder.path().join("answers.sqlite");
            let cache = DiskCache::open(&file, DiskCacheConfig::default()).await.unwrap();
            let kept = Simulated.disk_cached(&cache);
            assert_eq!((kept.name(), kept.identity()), ("sim:x", "sim:x somewhere"));
            assert!(kept.is_simulation());
        }
        assert!(!stacked(ScriptedEngine::new([""; 0]), &meter).is_simulation());
        assert_eq!(meter.snapshot().requests, 2);
    }
}
