//! A cache that runs share which make the same requests, as the cells of a study.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use textgrad_core::{Engine, EngineError, EngineInfo, Request, Response};
use textgrad_ops::store::{MemoryStore, request_key};

use crate::config::TpoConfig;
use crate::error::Error;
use crate::journal::{self, Record, StepKey, scan};
use crate::query::Query;
use crate::reward::{EngineScope, RewardInfo, RewardModel};
use crate::search::Tpo;
use crate::util::open_existing;

/// The maximum number of completions in memory. Older ones are dropped, and requested again.
const MAX_RESPONSES: usize = 16_384;

/// Completions and scores in memory, for cells that make the same requests. Cheap to clone.
///
/// Requests are equal if engine, messages, sampling and seed are; a request without a seed is always made. A cached
/// response has its usage, so that the figures of a cell are those that it has alone. Scores of reward models that
/// ask engines, and relative ones, are not cached. At most 16,384 completions are kept.
#[derive(Clone)]
pub struct SharedCache(Arc<Entries>);

struct Entries {
    calls: MemoryStore,
    scores: Mutex<HashMap<StepKey, f64>>,
    hits: AtomicU64,
}

impl Default for SharedCache {
    fn default() -> Self {
        let calls = MemoryStore::new(MAX_RESPONSES);
        Self(Arc::new(Entries { calls, scores: Mutex::default(), hits: AtomicU64::new(0) }))
    }
}

impl SharedCache {
    /// A search with other settings, its engines and reward model behind this cache.
    ///
    /// # Errors
    /// Those of [`TpoBuilder::build`](crate::TpoBuilder::build).
    pub fn search(&self, tpo: &Tpo, config: TpoConfig) -> Result<Tpo, Error> {
        let engine = |engine: &Arc<dyn Engine>| -> Arc<dyn Engine> {
            Arc::new(SharedEngine { engine: Arc::clone(engine), cache: self.clone() })
        };
        let reward = |reward: &Arc<dyn RewardModel>| -> Arc<dyn RewardModel> {
            Arc::new(SharedReward { reward: Arc::clone(reward), cache: self.clone() })
        };
        tpo.rebuild(engine, reward).config(config).build()
    }

    /// Adds the calls and scores of a run's journal, if it has one. Blocks.
    ///
    /// # Errors
    /// [`Error::Io`] if the journal cannot be read. Damaged lines are skipped: the run itself
    /// reports them.
    pub fn load(&self, run: &Path) -> Result<(), Error> {
        let path = run.join(journal::FILE);
        let Some(file) = open_existing(&path)? else { return Ok(()) };
        scan(&file, &path, |_, record: &Record| self.add(record))?;
        Ok(())
    }

    /// Adds a call or a score.
    pub(crate) fn add(&self, record: &Record) {
        match record {
            Record::Call { key, response, .. } => {
                if let Ok(key) = key.as_str().parse()
                    && self.0.calls.lookup(key).is_none()
                {
                    self.0.calls.insert(key, response.clone());
                }
            }
            Record::Score { key, score, .. } => {
                self.0.scores.lock().entry(key.clone()).or_insert(*score);
            }
            _ => {}
        }
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.0.calls.clear();
        self.0.scores.lock().clear();
    }

    /// The number of requests that were answered from the cache.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.0.hits.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCache")
            .field("calls", &self.0.calls.len())
            .field("scores", &self.0.scores.lock().len())
            .finish_non_exhaustive()
    }
}

struct SharedEngine {
    engine: Arc<dyn Engine>,
    cache: SharedCache,
}

#[async_trait]
impl Engine for SharedEngine {
    fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        if request.sampling.seed.is_none() {
            return self.engine.complete(request).await;
        }
        let key = request_key(self.engine.name(), request);
        if let Some(known) = self.cache.0.calls.lookup(key) {
            self.cache.0.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Response::clone(&known));
        }
        let response = self.engine.complete(request).await?;
        self.cache.0.calls.insert(key, response.clone());
        Ok(response)
    }
}

struct SharedReward {
    reward: Arc<dyn RewardModel>,
    cache: SharedCache,
}

#[async_trait]
impl RewardModel for SharedReward {
    fn info(&self) -> &RewardInfo {
        self.reward.info()
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        if self.reward.is_relative() {
            return self.reward.score(query, answers).await;
        }
        let identity = self.reward.identity();
        let key = |answer: &&str| StepKey::of_score(identity, query, answer);
        let keys: Vec<StepKey> = answers.iter().map(key).collect();
        let mut scores: Vec<Option<f64>> = {
            let known = self.cache.0.scores.lock();
            keys.iter().map(|key| known.get(key).copied()).collect()
        };
        let unknown: Vec<&str> = scores
            .iter()
            .zip(answers)
            .filter_map(|(score, answer)| score.is_none().then_some(*answer))
            .collect();
        if !unknown.is_empty() {
            let new = self.reward.score(query, &unknown).await?;
            if new.len() != unknown.len() {
                // For the search to refuse, as it would without a cache.
                return Ok(new);
            }
            let mut known = self.cache.0.scores.lock();
            let slots = scores.iter_mut().zip(&keys).filter(|(score, _)| score.is_none());
            for ((slot, key), score) in slots.zip(new) {
                *slot = Some(score);
                if score.is_finite() {
                    known.insert(key.clone(), score);
                }
            }
        }
        Ok(scores.into_iter().flatten().collect())
    }

    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        self.reward.bind(scope)
    }
}
