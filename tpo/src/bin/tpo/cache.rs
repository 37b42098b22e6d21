//! Caches of `--cache`: a file, or a bucket of a NATS server.

use std::path::Path;
use std::sync::Arc;

use textgrad_core::Engine;
use textgrad_ops::layer::{EngineExt, Layered};
use textgrad_ops::store::{CacheStats, SqliteCache, SqliteConfig};
use textgrad_ops::util::terminal::note;
use tpo::Error;
use tpo::queue::{NatsCache, NatsStore, QueueAddress};

use crate::engines::setup;

#[derive(Debug, Clone)]
pub(crate) enum Cache {
    File(SqliteCache),
    Server(NatsCache),
}

impl Cache {
    /// Opens a file, or the bucket at an address.
    pub(crate) async fn open(place: &Path) -> Result<Self, Error> {
        let address = place.to_str().filter(|text| text.contains("://"));
        if let Some(address) = address {
            let address: QueueAddress = address.parse().map_err(|_| {
                let expected = "a file, or nats://HOST:PORT/NAME";
                Error::config("cache", expected, "another address")
            })?;
            return Ok(Self::Server(NatsStore::open(&address).await?));
        }
        let opened = SqliteCache::open(place, SqliteConfig::default()).await;
        Ok(Self::File(opened.map_err(setup("cache"))?))
    }

    pub(crate) fn over(&self, engine: impl Engine + 'static) -> Arc<dyn Engine> {
        match self {
            Self::File(cache) => Arc::new(engine.disk_cached(cache)),
            Self::Server(cache) => Arc::new(Layered::new(engine, cache.clone())),
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        match self {
            Self::File(cache) => cache.stats(),
            Self::Server(cache) => cache.stats(),
        }
    }

    /// Waits until all that was put into a file is there.
    pub(crate) async fn flush(&self) {
        if let Self::File(cache) = self
            && let Err(error) = cache.flush().await
        {
            note(format_args!("warning: {}", tpo::describe(&error)));
        }
    }
}
