//! Responses in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use textgrad_core::Response;

use super::cache::{CacheKey, CacheLayer, CacheStore};
use super::key::RequestKey;

/// A cache in memory; see [`CacheLayer`] for what is cached.
///
/// When it is full, the response that was stored first makes room: TPO and training repeat a request soon or
/// never, so how often a response was used predicts little.
pub type Cache = CacheLayer<MemoryStore>;

impl Cache {
    /// An empty cache for at most so many responses. With 0 none is kept, but equal concurrent requests are still made
    /// once.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self::over(MemoryStore::new(max_entries))
    }
}

/// For at most 4,096 responses.
impl Default for Cache {
    fn default() -> Self {
        Self::new(4096)
    }
}

/// A bounded map of responses; the one that was stored first leaves first.
#[derive(Debug)]
pub struct MemoryStore {
    responses: DashMap<RequestKey, Arc<Response>>,
    order: Mutex<VecDeque<RequestKey>>,
    max_entries: usize,
}

impl MemoryStore {
    /// An empty store for at most so many responses.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self { responses: DashMap::new(), order: Mutex::default(), max_entries }
    }

    /// The number of responses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.responses.len()
    }

    /// Whether it has no response.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.responses.is_empty()
    }

    /// The response of a key.
    #[must_use]
    pub fn lookup(&self, key: RequestKey) -> Option<Arc<Response>> {
        Some(Arc::clone(&*self.responses.get(&key)?))
    }

    /// Keeps a response under a key, in place of an earlier one.
    pub fn insert(&self, key: RequestKey, response: Response) {
        if self.max_entries == 0 || self.responses.insert(key, Arc::new(response)).is_some() {
            return;
        }
        let mut order = self.order.lock();
        order.push_back(key);
        while order.len() > self.max_entries {
            if let Some(oldest) = order.pop_front() {
                self.responses.remove(&oldest);
            }
        }
    }

    /// Removes all responses.
    pub fn clear(&self) {
        self.order.lock().clear();
        self.responses.clear();
    }
}

impl CacheStore for MemoryStore {
    async fn get(&self, key: &CacheKey<'_>) -> Option<Response> {
        self.lookup(key.key).map(|response| Response::clone(&response))
    }

    async fn put(&self, key: &CacheKey<'_>, response: &Response) {
        self.insert(key.key, response.clone());
    }
}
