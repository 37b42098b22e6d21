//! Engines around engines: each layer does one thing, and [`EngineExt`] puts them together.
//!
//! # The order
//! From the client outwards:
//!
//! 1. **timeout** bounds one attempt. Around anything that waits (limits, retries) it would count the
//!    waiting, and a busy minute would look like a slow server.
//! 2. **limit** lets attempts through. Inside retry, so that each attempt counts against the limits and a
//!    call that waits for its next attempt holds no slot.
//! 3. **retry** makes attempts out of calls. Inside fill, so that one failed answer of several is asked
//!    again alone.
//! 4. **fill** makes `n` answers out of what the server gives. Inside the cache, so that what is kept is
//!    whole.
//! 5. **cache** answers what was answered before, at no cost to the limits: from a file that outlives the
//!    process (**disk cache**), and around that from memory.
//! 6. **trace** shows what the caller saw. Inside the cache it would show what was really sent; both at
//!    once is fine.
//!
//! [`EngineExt::standard`] stacks them so. A **meter** right around the client counts what was paid for,
//! outside of the cache what was asked for. A **budget** belongs where such a meter does. **record** belongs
//! outermost to replay a run without any of the others, and right around the client to replay it with all of
//! them. A **log** is for people: around the meter it shows what was paid for and how long each attempt took,
//! outermost what the program asked.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use textgrad_core::Engine;
//! use textgrad_ops::engine::layer::{CacheConfig, Limits, RetryPolicy};
//! use textgrad_ops::engine::{EngineExt, OpenAi};
//!
//! let engine = OpenAi::builder("http://localhost:8000/v1", "llama-3.1-8b")
//!     .build()?
//!     .timeout(Duration::from_secs(120))
//!     .limit(Limits::default().concurrency(64).requests_per_minute(500).tokens_per_minute(90_000))
//!     .retry(RetryPolicy::default())
//!     .fill()
//!     .cached(CacheConfig::default())
//!     .traced();
//! assert_eq!(engine.name(), "openai:llama-3.1-8b");
//! # Ok::<(), textgrad_core::EngineError>(())
//! ```

mod budget;
mod cache;
mod cost;
mod ext;
mod fill;
mod limit;
mod lines;
mod log;
mod meter;
mod record;
mod retry;
mod standard;
mod timeout;
mod trace;

pub use self::budget::{Budget, BudgetBuilder, Budgeted, Money, Price, Prices, Remaining, Spent};
pub use self::cache::{Cache, CacheConfig, CacheStats, Cached};
#[cfg(feature = "disk-cache")]
pub use self::cache::{
    DiskCache, DiskCacheConfig, DiskCacheInfo, DiskCacheStats, DiskCached, DiskEntry, DiskFilter,
    DiskRemoved, DiskStored,
};
pub use self::ext::EngineExt;
pub use self::fill::{ChoicePart, ChoiceStore, Fill, with_choice_store};
pub use self::limit::{Limit, Limiter, Limits};
#[cfg(feature = "page")]
pub use self::log::write_page;
pub use self::log::{LogError, Logged, LoggedCall, LoggedGraph, RunLog, RunLogger};
pub use self::meter::{Meter, MeterSnapshot, Metered, PurposeCount};
pub use self::record::{Record, Replay};
pub use self::retry::{Retry, RetryPolicy};
pub use self::standard::Standard;
pub use self::timeout::Timeout;
pub use self::trace::Traced;
