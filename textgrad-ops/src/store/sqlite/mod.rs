//! Responses in an SQLite file that several processes share.
//!
//! | module | contents |
//! |---|---|
//! | `entry` | settings, statistics, entries and filters |
//! | `worker` | the two threads that run SQLite |
//! | `database` | opening the file, schema, errors |
//! | `query`, `prune` | inserts, lookups, listing; removal and the bound on the size |
//! | `lease` | which process makes a request |

mod database;
mod entry;
mod lease;
mod prune;
mod query;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Error;
use textgrad_core::{EngineError, Response};

use self::database::{Database, Open, explain, wrong};
pub use self::entry::{
    CacheEntry, CacheFilter, CachedCall, RemovedEntries, SqliteConfig, SqliteInfo,
};
use self::query::{Found, New};
use self::worker::{Failure, Job, Worker};
use super::cache::{CacheKey, CacheLayer, CacheStore};
use super::flight::Lease;

/// A cache in one file, for this process, later ones and concurrent ones; see [`CacheLayer`] for what is cached.
///
/// * Of equal concurrent requests, of this and other processes, one is made, and the others wait for it. If the
///   process that makes it is killed, another one makes it after about three seconds.
/// * Each entry has a checksum: one that is damaged is dropped with a warning, and its request made again.
/// * An answer is handed on when it is in the file, as far as the operating system is concerned: a process
///   that is killed loses none that it handed on. A power cut may lose the last ones, but damages nothing.
/// * A file that fails during a run (full disk, damage) loses no answer either: it is handed on, a warning is
///   logged (the 1st, 2nd, 4th, 8th, ... time), and [`stats`](SqliteCache::stats) counts it.
///
/// The file is an SQLite database in WAL mode; while it is in use, and after a process was killed, two more
/// files of its name stand beside it (`-wal`, `-shm`). They belong to it: move all three, or none. It must not
/// be on a network file system. It holds answers and, unless
/// [`keep_requests`](SqliteConfig::keep_requests) is off, requests, so it is as confidential as these. Keys
/// of servers are not part of a request and so not of it.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Message, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::layer::EngineExt;
/// use textgrad_ops::store::{SqliteCache, SqliteConfig};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("answers.sqlite");
/// let cache = SqliteCache::open(&path, SqliteConfig::default()).await?;
/// let engine = engine_fn("live", |_| async { Ok(Response::new(vec![Choice::new("hi", FinishReason::Stop)])) })
///     .disk_cached(&cache);
/// let request = Request::new(Purpose::Sample, [Message::user("hello")]);
/// engine.complete(&request).await?;
/// engine.complete(&request).await?;
/// assert_eq!((cache.stats().misses, cache.stats().hits), (1, 1));
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
pub type SqliteCache = CacheLayer<SqliteStore>;

impl SqliteCache {
    /// Opens a file of answers, and begins one if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Other`](textgrad_core::ErrorKind::Other) if the file is something else, is damaged, is of a
    /// newer version of this library, or cannot be opened, read and written.
    pub async fn open(path: impl Into<PathBuf>, config: SqliteConfig) -> Result<Self, EngineError> {
        Self::with(path.into(), config, Open::OrCreate).await
    }

    /// Opens a file of answers, which must be there.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if there is no such file.
    pub async fn open_existing(
        path: impl Into<PathBuf>,
        config: SqliteConfig,
    ) -> Result<Self, EngineError> {
        Self::with(path.into(), config, Open::Existing).await
    }

    async fn with(path: PathBuf, config: SqliteConfig, open: Open) -> Result<Self, EngineError> {
        Ok(Self::over(SqliteStore::open(path, config, open).await?))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.store().path()
    }

    /// What the file holds.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn info(&self) -> Result<SqliteInfo, EngineError> {
        self.store().call(|database| database.info()).await
    }

    /// Reads the whole file and returns its defects; empty if it is sound. Takes about a second per
    /// GiB on a fast disk.
    ///
    /// # Errors
    /// If the file cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, EngineError> {
        self.store().call(|database| database.check()).await
    }

    /// The entries that a filter lets through, the one used last first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn entries(&self, filter: CacheFilter) -> Result<Vec<CacheEntry>, EngineError> {
        self.store().call(move |database| database.entries(&filter)).await
    }

    /// The entry of a key, or of the beginning of one where no other begins so, with what was asked and what
    /// was answered. Looking at it does not count as use.
    ///
    /// # Errors
    /// If there is none, if there are several, or if the file cannot be read.
    pub async fn entry(&self, key: &str) -> Result<CachedCall, EngineError> {
        let key = key.to_ascii_lowercase();
        self.store().stored(key).await
    }

    /// Removes the entries that a filter lets through (all, without any condition), and gives their room back
    /// to the file system.
    ///
    /// # Errors
    /// If the file cannot be written. What was removed before stays removed.
    pub async fn remove(&self, filter: CacheFilter) -> Result<RemovedEntries, EngineError> {
        self.store().call(move |database| database.remove(&filter)).await
    }

    /// Removes the entries that were not used for the longest until the file has at most so many bytes, and
    /// gives their room back to the file system.
    ///
    /// # Errors
    /// If the file cannot be written. What was removed before stays removed.
    pub async fn prune(&self, max_bytes: u64) -> Result<RemovedEntries, EngineError> {
        self.store().call(move |database| database.prune(max_bytes)).await
    }

    /// Waits until everything is in the file itself rather than beside it, as far as other processes that use
    /// it allow. Nothing is lost without it; it is for a program's end, to leave one file behind.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn flush(&self) -> Result<(), EngineError> {
        self.store().call(|database| database.checkpoint()).await
    }
}

/// The fewest digits by which an entry may be named.
const MIN_PREFIX: usize = 4;

/// Responses in an SQLite file, with the threads that read and write it; see [`SqliteCache`].
#[derive(Debug)]
pub struct SqliteStore {
    path: Arc<Path>,
    config: SqliteConfig,
    reader: Worker,
    writer: Arc<Worker>,
    owner: i64,
    failures: AtomicU64,
}

impl SqliteStore {
    async fn open(path: PathBuf, config: SqliteConfig, open: Open) -> Result<Self, EngineError> {
        let path: Arc<Path> = path.into();
        // The writer first: it is the one to begin a new file.
        let begin = move |path: &Path| Database::open(path, open);
        let (writer, _) = Worker::start(Arc::clone(&path), config.max_bytes, begin).await?;
        let begin =
            |path: &Path| Database::open_reading(path).map_err(|error| explain(path, error));
        let (reader, thread) = Worker::start(Arc::clone(&path), config.max_bytes, begin).await?;
        // The last connection to a file takes away what SQLite keeps beside it; of two that close it at the same time
        // neither may be the last.
        writer.send(Job::CloseAfter(thread));
        let (writer, owner) = (Arc::new(writer), lease::new_owner());
        Ok(Self { path, config, reader, writer, owner, failures: AtomicU64::new(0) })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// Runs something over the file, after all that was queued before it.
    async fn call<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Database) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, EngineError> {
        match self.writer.call(run).await {
            Some(result) => result.map_err(|error| explain(&self.path, error)),
            None => Err(wrong(&self.path, "its thread has stopped")),
        }
    }

    async fn stored(&self, prefix: String) -> Result<CachedCall, EngineError> {
        let digits = prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || !(MIN_PREFIX..=64).contains(&prefix.len()) {
            let got = textgrad_core::truncate(&prefix, 80);
            return Err(wrong(
                &self.path,
                format!(
                    "expected a key, or its first {MIN_PREFIX} or more hexadecimal digits, got {got:?}"
                ),
            ));
        }
        let asked = prefix.clone();
        let mut found = self.call(move |database| database.stored(&asked)).await?;
        let (entry, texts) = match (found.pop(), found.pop()) {
            (Some(only), None) => only,
            (None, _) => {
                let what = format!("no entry has a key that begins with {prefix}");
                return Err(wrong(&self.path, what));
            }
            _ => {
                let what =
                    format!("several entries have keys that begin with {prefix}; give more digits");
                return Err(wrong(&self.path, what));
            }
        };
        let unreadable = |error: serde_json::Error| {
            wrong(&self.path, format!("the entry {} cannot be read", entry.key)).with_source(error)
        };
        let response = serde_json::from_str(&texts.response).map_err(unreadable)?;
        let request = texts.request.as_deref().map(serde_json::from_str);
        let request = request.transpose().map_err(unreadable)?;
        Ok(CachedCall { entry, request, response })
    }

    /// Counts a failure; the log has the 1st, 2nd, 4th, 8th, ... so that a full disk does not drown it.
    fn failed(&self, what: &str, error: &dyn std::error::Error) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_power_of_two() {
            tracing::warn!(path = %self.path.display(), %error, failures, "{what}");
        }
    }

    fn read(&self, key: &CacheKey<'_>, found: &Found) -> Option<Response> {
        if !found.is_intact {
            self.failed(
                "an entry of the cache is dropped, and its request made again",
                &Failure::Damaged,
            );
            let digits = key.key.to_string();
            self.writer.send(Job::Call(Box::new(move |database| {
                // An entry that stays is found damaged again, or replaced.
                let _ = database.drop_entry(&digits);
            })));
            return None;
        }
        match serde_json::from_str(&found.response) {
            Ok(response) => {
                if found.is_due() {
                    self.writer.send(Job::Touch(key.key.to_string()));
                }
                Some(response)
            }
            Err(error) => {
                self.failed("an answer in the cache cannot be read and is asked for again", &error);
                None
            }
        }
    }
}

impl CacheStore for SqliteStore {
    async fn get(&self, key: &CacheKey<'_>) -> Option<Response> {
        let digits = key.key.to_string();
        let found = self.reader.call(move |database| database.get(&digits)).await;
        match found.ok_or(Failure::Stopped).and_then(|found| Ok(found?)) {
            Ok(found) => self.read(key, &found?),
            Err(error) => {
                self.failed("the cache cannot be read; the request is made", &error);
                None
            }
        }
    }

    async fn put(&self, key: &CacheKey<'_>, response: &Response) {
        let new = match New::of(key, response, self.config.keep_requests) {
            Ok(new) => new,
            Err(error) => return self.failed("an answer cannot be written as JSON", &error),
        };
        // Queued before the first wait: a caller that goes away does not take it along.
        if let Err(error) = self.writer.put(new).await {
            self.failed("an answer is not kept, for the cache cannot be written", &error);
        }
    }

    async fn lease(&self, key: &CacheKey<'_>) -> Lease {
        self.lease_request(key).await
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod tests;
