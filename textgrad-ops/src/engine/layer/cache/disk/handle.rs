//! The cache that engines share.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use textgrad_core::{EngineError, Response};

use super::config::DiskCacheConfig;
use super::look::{DiskCacheInfo, DiskEntry, DiskFilter, DiskRemoved, DiskStored};
use super::store::Open;
use super::tier::Disk;
use crate::engine::layer::cache::front::{Asked, Counts, Front};

/// What a [`DiskCache`] did so far, in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiskCacheStats {
    /// Requests answered from the file.
    pub hits: u64,
    /// Requests answered, well or with an error, by an equal one that was under way.
    pub shared: u64,
    /// Requests that were made.
    pub misses: u64,
    /// Of these, how many had an answer that is not fit to be kept.
    pub not_kept: u64,
    /// Lookups and inserts that failed. No answer was lost by it: what could not be looked up was asked, what
    /// could not be kept was only handed on.
    pub failures: u64,
}

/// Answers kept in one file, for this process, later ones, and others at the same time. Cheap to clone: engines
/// can share one, and whoever keeps a clone can read its [`stats`](Self::stats).
///
/// * Two requests are equal if their [keys](crate::engine::request_key) are: same engine, same messages, same
///   sampling, same [format](textgrad_core::Request::format) of the answer if there is one, same version of
///   the key. The engine is known by its [identity](textgrad_core::Engine::identity), so a model of the same
///   name at another address is another one. The purpose is left out. A request without a seed is kept as
///   well: to draw several times, use seeds.
/// * Of equal requests at the same time one is made, as in the [`Cache`](crate::engine::layer::Cache) in
///   memory, which can be put around this one. Of two processes each may make one.
/// * Kept are only whole responses: as many answers as were asked for, each ended by the model itself
///   ([`FinishReason::Stop`](textgrad_core::FinishReason::Stop)). Errors, and answers that were cut off,
///   filtered or aborted, are not.
/// * An answer is handed on when it is in the file, as far as the operating system is concerned: a process
///   that is killed loses none that it handed on. A power cut may lose the last ones, but damages nothing.
/// * A file that fails during a run (full disk, damage) loses no answer either: it is handed on, a warning is
///   logged (the 1st, 2nd, 4th, 8th, ... time), and [`stats`](Self::stats) counts it.
/// * A response from the file is what it was, its usage included: a [`Meter`](crate::engine::layer::Meter)
///   counts what was paid for only inside of the cache.
///
/// The file is an SQLite database in WAL mode; while it is in use, and after a process was killed, two more
/// files of its name stand beside it (`-wal`, `-shm`). They belong to it: move all three, or none. It must not
/// be on a network file system. It holds answers and, unless
/// [`keep_requests`](DiskCacheConfig::keep_requests) says no, requests, so it is as confidential as these. Keys
/// of servers are not part of a request and so not of it.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Message, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::engine::EngineExt;
/// use textgrad_ops::engine::layer::{DiskCache, DiskCacheConfig};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("answers.sqlite");
/// let cache = DiskCache::open(&path, DiskCacheConfig::default()).await?;
/// let engine = engine_fn("live", |_| async { Ok(Response::new(vec![Choice::new("hi", FinishReason::Stop)])) })
///     .disk_cached(&cache);
/// let request = Request::new(Purpose::Sample, [Message::user("hello")]);
/// engine.complete(&request).await?;
/// engine.complete(&request).await?;
/// assert_eq!((cache.stats().misses, cache.stats().hits), (1, 1));
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct DiskCache {
    pub(super) front: Arc<Front<Disk>>,
}

impl DiskCache {
    /// Opens a file of answers, and begins one if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Other`](textgrad_core::ErrorKind::Other) if the file is something else, is damaged, is of a
    /// newer version of this library, or cannot be opened, read and written.
    pub async fn open(
        path: impl Into<PathBuf>,
        config: DiskCacheConfig,
    ) -> Result<Self, EngineError> {
        Self::with(path.into(), config, Open::OrCreate).await
    }

    /// Opens a file of answers, which must be there.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if there is no such file.
    pub async fn open_existing(
        path: impl Into<PathBuf>,
        config: DiskCacheConfig,
    ) -> Result<Self, EngineError> {
        Self::with(path.into(), config, Open::Existing).await
    }

    async fn with(path: PathBuf, config: DiskCacheConfig, open: Open) -> Result<Self, EngineError> {
        Ok(Self { front: Arc::new(Front::new(Disk::open(path, config, open).await?)) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.disk().path()
    }

    /// What the cache did so far, in this process.
    #[must_use]
    pub fn stats(&self) -> DiskCacheStats {
        let Counts { hits, shared, misses, not_kept } = self.front.counts();
        DiskCacheStats { hits, shared, misses, not_kept, failures: self.disk().failures() }
    }

    /// What the file holds.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn info(&self) -> Result<DiskCacheInfo, EngineError> {
        self.disk().call(|store| store.info()).await
    }

    /// Reads the whole file and says what is wrong with it; nothing, if all is well. Takes about a second per
    /// GiB on a fast disk.
    ///
    /// # Errors
    /// If the file cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, EngineError> {
        self.disk().call(|store| store.check()).await
    }

    /// The entries that a filter lets through, the one used last first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn entries(&self, filter: DiskFilter) -> Result<Vec<DiskEntry>, EngineError> {
        self.disk().call(move |store| store.entries(&filter)).await
    }

    /// The entry of a key, or of the beginning of one where no other begins so, with what was asked and what
    /// was answered. Looking at it does not count as use.
    ///
    /// # Errors
    /// If there is none, if there are several, or if the file cannot be read.
    pub async fn entry(&self, key: &str) -> Result<DiskStored, EngineError> {
        let key = key.to_ascii_lowercase();
        self.disk().stored(key).await
    }

    /// Removes the entries that a filter lets through (all, without any condition), and gives their room back
    /// to the file system.
    ///
    /// # Errors
    /// If the file cannot be written. What was removed before stays removed.
    pub async fn remove(&self, filter: DiskFilter) -> Result<DiskRemoved, EngineError> {
        self.disk().call(move |store| store.remove(&filter)).await
    }

    /// Removes the entries that were not used for the longest until the file has at most so many bytes, and
    /// gives their room back to the file system.
    ///
    /// # Errors
    /// If the file cannot be written. What was removed before stays removed.
    pub async fn prune(&self, max_bytes: u64) -> Result<DiskRemoved, EngineError> {
        self.disk().call(move |store| store.prune(max_bytes)).await
    }

    /// Waits until everything is in the file itself rather than beside it, as far as other processes that use
    /// it allow. Nothing is lost without it; it is for a program's end, to leave one file behind.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn flush(&self) -> Result<(), EngineError> {
        self.disk().call(|store| store.fold()).await
    }

    pub(super) async fn get_or<F, Fut>(
        &self,
        asked: &Asked<'_>,
        call: F,
    ) -> Result<Response, EngineError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Response, EngineError>>,
    {
        self.front.get_or(asked, call).await
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.front.tier
    }
}

impl From<&DiskCache> for DiskCache {
    fn from(cache: &DiskCache) -> Self {
        cache.clone()
    }
}
