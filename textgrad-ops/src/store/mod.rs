//! Stores of requests and responses: caches, recordings, and run logs.
//!
//! All backends use one key, [`request_key`], and whole [`Response`](textgrad_core::Response)s.
//!
//! | type | backend | use |
//! |---|---|---|
//! | [`Cache`] | memory, bounded | equal requests of one process |
//! | `SqliteCache` | SQLite file, bounded | equal requests of processes, also concurrent ones (feature `disk-cache`) |
//! | [`Recorder`], [`Replay`] | JSON Lines | offline replay of a run, request by request |
//! | [`RunLogger`], [`RunLog`] | JSON Lines | inspection of a run as an HTML page |
//!
//! [`CacheLayer`] is a cache over any [`CacheStore`], and a [`Layer`](crate::layer::Layer) around an engine.

mod cache;
mod flight;
mod key;
mod log;
mod memory;
#[cfg(feature = "page")]
mod page;
mod record;
mod run_log;
#[cfg(feature = "disk-cache")]
mod sqlite;

pub use self::cache::{CacheKey, CacheLayer, CacheStats, CacheStore};
pub use self::flight::Lease;
pub use self::key::{ParseRequestKeyError, RequestKey, request_key};
pub use self::log::RunLogger;
pub use self::memory::{Cache, MemoryStore};
#[cfg(feature = "page")]
pub use self::page::write_page;
pub use self::record::{Recorder, Replay};
pub use self::run_log::{LogError, RunLog, RunLogCall, RunLogGraph};
#[cfg(feature = "disk-cache")]
pub use self::sqlite::{
    CacheEntry, CacheFilter, CachedCall, RemovedEntries, SqliteCache, SqliteConfig, SqliteInfo,
    SqliteStore,
};
