//! Answers that machines share through a NATS server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Config, Store};
use textgrad_core::Response;
use textgrad_ops::store::{CacheKey, CacheLayer, CacheStore};

use super::address::QueueAddress;
use crate::error::Error;

/// A cache of answers in a key-value bucket of a NATS server with JetStream, `TPO_CACHE_NAME` for an address
/// `nats://HOST/NAME`; see [`CacheLayer`] for what is cached.
///
/// It holds answers, not requests, and grows until the bucket is given a limit. An answer that is
/// longer than the largest message of the server is not kept. Where two machines make the same request at the same
/// time, both make it. While the server is away, all requests are made, and [`stats`](CacheLayer::stats) counts the
/// failures.
pub type NatsCache = CacheLayer<NatsStore>;

/// The bucket behind a [`NatsCache`].
#[derive(Debug)]
pub struct NatsStore {
    context: Context,
    bucket: Store,
    failures: Arc<AtomicU64>,
}

impl NatsStore {
    /// Opens the bucket of an address, and makes it if there is none.
    ///
    /// # Errors
    /// [`Error::Queue`] if the server cannot be reached, refuses the credentials, or has no JetStream.
    pub async fn open(address: &QueueAddress) -> Result<NatsCache, Error> {
        let context = address.connect().await?;
        let bucket = format!("TPO_CACHE_{}", address.name());
        // One that is there may have been given limits.
        let bucket = match context.get_key_value(bucket.as_str()).await {
            Ok(bucket) => bucket,
            Err(_) => {
                let made =
                    context.create_key_value(Config { bucket, history: 1, ..Config::default() });
                let hint = "expected to make a bucket (is JetStream on, as with nats-server -js?)";
                made.await.map_err(|error| address.failed(hint, error))?
            }
        };
        Ok(CacheLayer::over(Self { context, bucket, failures: Arc::default() }))
    }

    /// A server that is away does not hold calls up.
    fn is_away(&self) -> bool {
        self.context.client().connection_state() != State::Connected
    }
}

/// Counts a failure, and warns of the first of many.
fn failed(failures: &AtomicU64, what: &str, error: &dyn std::fmt::Display) {
    if failures.fetch_add(1, Ordering::Relaxed).saturating_add(1).is_power_of_two() {
        tracing::warn!("an answer is not {what} the cache at the NATS server: {error}");
    }
}

impl CacheStore for NatsStore {
    async fn get(&self, key: &CacheKey<'_>) -> Option<Response> {
        if self.is_away() {
            failed(&self.failures, "looked up in", &"it is away");
            return None;
        }
        let found = match self.bucket.get(key.key.to_string()).await {
            Ok(found) => found?,
            Err(error) => {
                failed(&self.failures, "looked up in", &error);
                return None;
            }
        };
        match serde_json::from_slice(&found) {
            Ok(response) => Some(response),
            Err(error) => {
                failed(&self.failures, "readable in", &error);
                None
            }
        }
    }

    async fn put(&self, key: &CacheKey<'_>, response: &Response) {
        if self.is_away() {
            return failed(&self.failures, "put into", &"it is away");
        }
        let Ok(body) = serde_json::to_vec(response) else { return };
        let (bucket, failures, key) =
            (self.bucket.clone(), Arc::clone(&self.failures), key.key.to_string());
        // A task of its own: who waits for it may go away.
        let put = tokio::spawn(async move {
            if let Err(error) = bucket.put(key, body.into()).await {
                failed(&failures, "put into", &error);
            }
        });
        let _ = put.await;
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}
