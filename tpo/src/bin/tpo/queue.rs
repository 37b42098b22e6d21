//! Queues at a NATS server.

use std::sync::Arc;

use tpo::Error;
use tpo::queue::NatsStore;
pub(crate) use tpo::queue::{QueueAddress, QueueOptions};
use tpo::run::Run;

use crate::cache::AnyCache;

/// Opens the cache of an address.
pub(crate) async fn open_cache(address: &str) -> Result<Arc<dyn AnyCache>, Error> {
    let address: QueueAddress = address.parse().map_err(|_| {
        Error::config("cache", "a file, or nats://HOST:PORT/NAME", "another address")
    })?;
    Ok(Arc::new(NatsStore::open(&address).await?))
}

/// A run that has its queries searched by workers.
pub(crate) fn queued(run: Run, options: QueueOptions) -> Run {
    run.queue(options)
}
