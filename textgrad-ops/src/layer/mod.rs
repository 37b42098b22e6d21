//! Layers around engines: each does one thing, and [`EngineExt`] stacks them.
//!
//! # The order
//! From the client outwards:
//!
//! 1. **timeout** bounds one attempt. Around anything that waits (limits, retries) it would count the
//!    waiting, and a busy minute would look like a slow server.
//! 2. **limit** lets attempts through, and pauses all of them where the server limits their rate. Inside retry, so
//!    that each attempt counts against the limits and a call that waits for its next attempt holds no slot.
//! 3. **retry** makes attempts out of calls. Inside complete_choices, so that one failed answer of several is asked
//!    again alone.
//! 4. **breaker** makes no further call after failures of one kind in a row. Outside retry, so that what a retry mends
//!    is no failure.
//! 5. **complete_choices** requests the choices that the server left out. Inside the cache, so that what is kept is
//!    whole; the cache also keeps each choice that is asked for alone, as soon as it is there.
//! 6. **cache** answers what was answered before, at no cost to the limits: from a file that outlives the
//!    process (**disk cache**), and around that from memory.
//! 7. **trace** shows what the caller saw. Inside the cache it would show what was really sent; both at
//!    once is fine.
//!
//! [`Balanced`] makes one engine of several addresses of one model, right around their clients.
//! [`EngineExt::default_stack`] stacks them so. A **meter** right around the client counts what was paid for,
//! outside of the cache what was asked for. A **budget** belongs where such a meter does. **record** belongs
//! outermost to replay a run without any of the others, and right around the client to replay it with all of
//! them. A **log** is for people: around the meter it shows what was paid for and how long each attempt took,
//! outermost what the program asked.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use textgrad_core::Engine;
//! use textgrad_ops::layer::{Limits, RetryPolicy};
//! use textgrad_ops::store::Cache;
//! use textgrad_ops::engine::OpenAi;
//! use textgrad_ops::layer::EngineExt;
//!
//! let engine = OpenAi::builder("http://localhost:8000/v1", "llama-3.1-8b")
//!     .build()?
//!     .timeout(Duration::from_secs(120))
//!     .limit(Limits::default().concurrency(64).requests_per_minute(500).tokens_per_minute(90_000))
//!     .retry(RetryPolicy::default())
//!     .complete_choices()
//!     .cached(Cache::default())
//!     .traced();
//! assert_eq!(engine.name(), "openai:llama-3.1-8b");
//! # Ok::<(), textgrad_core::EngineError>(())
//! ```

mod balance;
mod breaker;
mod budget;
mod choices;
mod limit;
mod meter;
mod pace;
mod price;
mod retry;
mod slots;
mod stack;
#[cfg(test)]
mod tests;
mod trace;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, EngineStatus, Request, Response};

pub use self::balance::Balanced;
pub use self::breaker::Breaker;
pub use self::budget::{Budget, BudgetBuilder, Budgeted, Spent};
pub use self::choices::{ChoicePart, ChoiceStore, CompleteChoices, with_choice_store};
pub(crate) use self::choices::{choice_store, single};
pub use self::limit::{Limiter, LimiterPermit, Limits};
pub use self::meter::{Meter, MeterSnapshot, PurposeCount};
pub use self::price::{Money, Price, Prices};
pub use self::retry::RetryPolicy;
pub use self::slots::of_age;
pub use self::stack::{CallPolicy, DefaultStack, Timeout};
pub use self::trace::Trace;
#[cfg(feature = "disk-cache")]
use crate::store::SqliteCache;
use crate::store::{Cache, CacheKey, CacheLayer, CacheStore, Recorder, RunLogger};

/// A step around the calls of an engine, such as a retry or a limit.
pub trait Layer: Send + Sync {
    /// Completes a request with the inner engine.
    ///
    /// # Errors
    /// Those of the inner engine and of the layer itself.
    fn call(
        &self,
        engine: &impl Engine,
        request: &Request,
    ) -> impl Future<Output = Result<Response, EngineError>> + Send;

    /// What is known about the engine with this layer. Default: what is known about the inner one.
    fn info<'a>(&'a self, inner: &'a EngineInfo) -> &'a EngineInfo {
        inner
    }
}

/// An engine with a [`Layer`] around it.
#[derive(Debug, Clone)]
pub struct Layered<E, L> {
    engine: E,
    layer: L,
}

impl<E, L> Layered<E, L> {
    /// Puts a layer around an engine.
    pub fn new(engine: E, layer: L) -> Self {
        Self { engine, layer }
    }

    /// The inner engine.
    pub fn get_ref(&self) -> &E {
        &self.engine
    }

    /// The inner engine, by value.
    pub fn into_inner(self) -> E {
        self.engine
    }
}

#[async_trait]
impl<E: Engine, L: Layer> Engine for Layered<E, L> {
    fn info(&self) -> &EngineInfo {
        self.layer.info(self.engine.info())
    }

    async fn status(&self) -> EngineStatus {
        self.engine.status().await
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.layer.call(&self.engine, request).await
    }
}

impl<S: CacheStore + 'static> Layer for CacheLayer<S> {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let key = CacheKey::new(engine.identity(), request);
        let call = || async {
            match request.sampling.n {
                0 | 1 => engine.complete(request).await,
                _ => {
                    with_choice_store(self.parts(engine.identity()), engine.complete(request)).await
                }
            }
        };
        self.get_or(&key, call).await
    }
}

/// Puts layers around any engine; see the [module](super) for the order in which they belong.
///
/// Each method takes an engine and returns an engine of the same [`EngineInfo`].
pub trait EngineExt: Engine + Sized + 'static {
    /// Gives each call `limit` to be answered, then fails it with a retryable
    /// [`Timeout`](textgrad_core::ErrorKind::Timeout).
    fn timeout(self, limit: Duration) -> Layered<Self, Timeout> {
        Layered::new(self, Timeout(limit))
    }

    /// Keeps within [`Limits`], of its own or of a shared [`Limiter`], and within the limits that the server
    /// enforces. Calls wait, first come, first served.
    fn limit(self, limits: impl Into<Limiter>) -> Layered<Self, Limiter> {
        Layered::new(self, limits.into())
    }

    /// Retries calls that failed for a transient reason.
    fn retry(self, policy: RetryPolicy) -> Layered<Self, RetryPolicy> {
        Layered::new(self, policy)
    }

    /// Makes no further call after failures of one kind in a row.
    fn breaker(self, breaker: &Breaker) -> Layered<Self, Breaker> {
        Layered::new(self, breaker.clone())
    }

    /// Requests the choices that a server left out, one by one.
    fn complete_choices(self) -> Layered<Self, CompleteChoices> {
        let layer = CompleteChoices::of(&self);
        Layered::new(self, layer)
    }

    /// Caches responses in memory, in a cache of its own or a shared one, and makes equal concurrent requests once.
    fn cached(self, cache: impl Into<Cache>) -> Layered<Self, Cache> {
        Layered::new(self, cache.into())
    }

    /// Caches responses in a file that other processes may use too, and makes equal concurrent requests once.
    #[cfg(feature = "disk-cache")]
    fn disk_cached(self, cache: impl Into<SqliteCache>) -> Layered<Self, SqliteCache> {
        Layered::new(self, cache.into())
    }

    /// Opens a span with the OpenTelemetry GenAI names for each call.
    fn traced(self) -> Layered<Self, Trace> {
        Layered::new(self, Trace)
    }

    /// Counts calls and tokens with a meter that the caller keeps.
    fn metered(self, meter: &Meter) -> Layered<Self, Meter> {
        Layered::new(self, meter.clone())
    }

    /// Spends from a [`Budget`] that engines may share: where it is used up, calls fail with
    /// [`ErrorKind::Budget`](textgrad_core::ErrorKind::Budget).
    ///
    /// # Errors
    /// If the budget is of money and has no price for the engine.
    fn budget(self, budget: &Budget) -> Result<Layered<Self, Budgeted>, EngineError> {
        let layer = Budgeted::new(budget, self.name())?;
        Ok(Layered::new(self, layer))
    }

    /// Writes each call to a log that the caller keeps, for people; see [`RunLog`](crate::store::RunLog).
    fn logged(self, log: &RunLogger) -> Layered<Self, RunLogger> {
        Layered::new(self, log.clone())
    }

    /// Writes each request and its answer to a new file, for [`Replay`](crate::store::Replay).
    ///
    /// # Errors
    /// If the file exists already (recordings cost money: none is overwritten) or cannot be made.
    fn record(
        self,
        path: impl Into<PathBuf>,
    ) -> impl Future<Output = Result<Layered<Self, Recorder>, EngineError>> + Send {
        let path = path.into();
        async move {
            let recorder = Recorder::create(path).await?;
            Ok(Layered::new(self, recorder))
        }
    }

    /// All layers of a [`DefaultStack`], in their order.
    fn default_stack(self, stack: DefaultStack) -> Arc<dyn Engine> {
        stack.layer(self)
    }
}

impl<E: Engine + 'static> EngineExt for E {}

/// An engine whose responses have all [choices](textgrad_core::Sampling::n): itself, or with
/// [`complete_choices`](EngineExt::complete_choices) around it.
#[must_use]
pub fn with_all_choices(engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
    match engine.info().gives_all_choices() {
        true => engine,
        false => Arc::new(engine.complete_choices()),
    }
}
