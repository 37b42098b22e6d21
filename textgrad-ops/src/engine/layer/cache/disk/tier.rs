//! How lookups and inserts reach the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Error;
use textgrad_core::{EngineError, Response};

use super::config::DiskCacheConfig;
use super::failure::{explain, wrong};
use super::look::DiskStored;
use super::store::{Found, New, Open, Store};
use super::worker::{Job, Reader, Writer};
use crate::engine::layer::cache::front::{Asked, Tier};

/// The fewest digits by which an entry may be named.
const MIN_PREFIX: usize = 4;

/// A file of answers, and the threads that read and write it.
#[derive(Debug)]
pub(crate) struct Disk {
    path: Arc<Path>,
    config: DiskCacheConfig,
    reader: Reader,
    writer: Writer,
    failures: AtomicU64,
}

impl Disk {
    pub(super) async fn open(
        path: PathBuf,
        config: DiskCacheConfig,
        open: Open,
    ) -> Result<Self, EngineError> {
        let path: Arc<Path> = path.into();
        // The writer first: it is the one to begin a new file.
        let writer = Writer::start(Arc::clone(&path), config, open).await?;
        let reader = Reader::start(Arc::clone(&path)).await?;
        Ok(Self { path, config, reader, writer, failures: AtomicU64::new(0) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Runs something over the file, after all that was queued before it.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, EngineError> {
        match self.writer.call(run).await {
            Some(result) => result.map_err(|error| explain(&self.path, error)),
            None => Err(wrong(&self.path, "its thread has stopped")),
        }
    }

    pub(super) async fn stored(&self, prefix: String) -> Result<DiskStored, EngineError> {
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
        let mut found = self.call(move |store| store.stored(&asked)).await?;
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
        Ok(DiskStored { entry, request, response })
    }

    /// Counts a failure; the log has the 1st, 2nd, 4th, 8th, ... so that a full disk does not drown it.
    fn failed(&self, what: &str, error: &dyn std::error::Error) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_power_of_two() {
            tracing::warn!(path = %self.path.display(), %error, failures, "{what}");
        }
    }

    fn read(&self, asked: &Asked<'_>, found: &Found) -> Option<Response> {
        match serde_json::from_str(&found.response) {
            Ok(response) => {
                if found.is_due() {
                    self.writer.send(Job::Touch(asked.key.to_string()));
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

impl Tier for Disk {
    async fn get(&self, asked: &Asked<'_>) -> Option<Response> {
        match self.reader.get(asked.key.to_string()).await {
            Ok(found) => self.read(asked, &found?),
            Err(error) => {
                self.failed("the cache cannot be read; the request is made", &error);
                None
            }
        }
    }

    async fn put(&self, asked: &Asked<'_>, response: &Response) {
        let new = match New::of(asked, response, self.config.keep_requests) {
            Ok(new) => new,
            Err(error) => return self.failed("an answer cannot be written as JSON", &error),
        };
        // Queued before the first wait: a caller that goes away does not take it along.
        if let Err(error) = self.writer.put(new).await {
            self.failed("an answer is not kept, for the cache cannot be written", &error);
        }
    }
}
