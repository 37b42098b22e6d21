//! Caches of `--cache`: a file, or a bucket of a NATS server.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use textgrad_core::Engine;
use textgrad_ops::layer::Layered;
use textgrad_ops::store::{CacheLayer, CacheStats, CacheStore, SqliteCache, SqliteConfig};
use textgrad_ops::util::terminal::note;
use tpo::Error;

use crate::engines::setup;
use crate::queue::open_cache;

/// A cache over any store.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    layer: Arc<dyn AnyCache>,
    file: Option<SqliteCache>,
}

impl Cache {
    /// Opens a file, or the bucket at an address.
    pub(crate) async fn open(place: &Path) -> Result<Self, Error> {
        if let Some(address) = place.to_str().filter(|text| text.contains("://")) {
            return Ok(Self { layer: open_cache(address).await?, file: None });
        }
        let file = SqliteCache::open(place, SqliteConfig::default()).await;
        let file = file.map_err(setup("cache"))?;
        Ok(Self { layer: Arc::new(file.clone()), file: Some(file) })
    }

    pub(crate) fn over(&self, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        self.layer.over(engine)
    }

    pub(crate) fn stats(&self) -> CacheStats {
        self.layer.stats()
    }

    /// Waits until all that was put into a file is there.
    pub(crate) async fn flush(&self) {
        if let Some(file) = &self.file
            && let Err(error) = file.flush().await
        {
            note(format_args!("warning: {}", tpo::describe(&error)));
        }
    }
}

/// What the program does with a cache.
pub(crate) trait AnyCache: Debug + Send + Sync {
    fn over(&self, engine: Arc<dyn Engine>) -> Arc<dyn Engine>;
    fn stats(&self) -> CacheStats;
}

impl<S: CacheStore + Debug + 'static> AnyCache for CacheLayer<S> {
    fn over(&self, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(Layered::new(engine, self.clone()))
    }

    fn stats(&self) -> CacheStats {
        self.stats()
    }
}
