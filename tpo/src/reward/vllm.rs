//! A reward model served by vLLM.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use textgrad_core::{EngineError, ErrorKind, Seed, excerpt};
use textgrad_ops::engine::http::{JsonClient, JsonClientBuilder};
use textgrad_ops::engine::layer::RetryPolicy;
use tokio::sync::Semaphore;

use super::RewardModel;

/// How many scores must all lie between 0 and 1 before that is taken for an activation that is still on.
const SUSPICIOUS: usize = 20;

/// A sequence classifier behind vLLM's `/classify` (vLLM 0.12 or later, which applies the chat template).
///
/// Raw scores are asked for: by default vLLM sends the output of a one-label model through a sigmoid, which
/// keeps the order but makes ties of all that is clearly good. Both names that this setting has had are
/// sent. If scores still all lie between 0 and 1, a warning is logged once.
///
/// # Examples
/// ```
/// let reward = tpo::VllmReward::builder("http://localhost:8001", "my-reward-model").build()?;
/// # let _: &dyn tpo::RewardModel = &reward;
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
pub struct VllmReward {
    name: String,
    model: String,
    client: JsonClient,
    retry: RetryPolicy,
    permits: Arc<Semaphore>,
    concurrency: usize,
    between_0_and_1: AtomicUsize,
    raw_seen: AtomicBool,
}

/// Settings of a [`VllmReward`].
#[derive(Debug)]
pub struct VllmRewardBuilder {
    client: JsonClientBuilder,
    model: String,
    retry: RetryPolicy,
    concurrency: usize,
}

impl VllmReward {
    /// A reward model at a server such as `http://localhost:8001` (without `/v1`), by the name under which
    /// it is served.
    pub fn builder(url: impl Into<String>, model: impl Into<String>) -> VllmRewardBuilder {
        VllmRewardBuilder {
            client: JsonClient::builder(url),
            model: model.into(),
            retry: RetryPolicy::default(),
            concurrency: 64,
        }
    }

    async fn score_one(&self, query: &str, answer: &str) -> Result<f64, EngineError> {
        let body = json!({
            "model": self.model,
            "messages": [
                { "role": "user", "content": query },
                { "role": "assistant", "content": answer },
            ],
            "add_generation_prompt": false,
            "add_special_tokens": false,
            "use_activation": false,
            "activation": false,
        });
        // A seed of its own for each answer, so that retries do not come back all at once.
        let retry = self.retry.clone().seed(Seed::new(0).child(answer, 0));
        let reply = retry
            .run(|_attempt| async {
                // The semaphore is never closed; if it were, asking without a permit would be right.
                let _permit = self.permits.acquire().await.ok();
                self.client.post::<Json, Classified>("classify", &body).await
            })
            .await?;
        let score = raw_score(&reply, answer)?;
        self.look_at(score);
        Ok(score)
    }

    /// Warns once if the scores look as if an activation were on.
    fn look_at(&self, score: f64) {
        if !(0.0..=1.0).contains(&score) {
            self.raw_seen.store(true, Ordering::Relaxed);
        } else if !self.raw_seen.load(Ordering::Relaxed)
            && self.between_0_and_1.fetch_add(1, Ordering::Relaxed) + 1 == SUSPICIOUS
        {
            tracing::warn!(
                model = self.model,
                "all scores so far lie between 0 and 1: an activation seems to be on; start vLLM with \
                 --pooler-config '{{\"use_activation\": false}}'"
            );
        }
    }
}

impl VllmRewardBuilder {
    /// The key that is sent as a bearer token, for servers behind a proxy that asks for one.
    #[must_use]
    pub fn key(mut self, key: SecretString) -> Self {
        self.client = self.client.key(key);
        self
    }

    /// The longest that one request may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.request_timeout(timeout);
        self
    }

    /// What is tried again, and when.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How many answers are scored at the same time, at most; 64 unless said otherwise.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// The reward model.
    ///
    /// # Errors
    /// An [`EngineError`] if the URL or the key can not be used.
    pub fn build(self) -> Result<VllmReward, EngineError> {
        Ok(VllmReward {
            name: format!("vllm:{}", self.model),
            model: self.model,
            client: self.client.build()?,
            retry: self.retry,
            permits: Arc::new(Semaphore::new(self.concurrency)),
            concurrency: self.concurrency,
            between_0_and_1: AtomicUsize::new(0),
            raw_seen: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl RewardModel for VllmReward {
    fn name(&self) -> &str {
        &self.name
    }

    /// One: `/classify` takes one conversation.
    fn batch(&self) -> usize {
        1
    }

    async fn score(&self, query: &str, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let asked: Vec<_> = answers.iter().map(|answer| self.score_one(query, answer)).collect();
        stream::iter(asked).buffered(self.concurrency).try_collect().await
    }
}

#[derive(Deserialize)]
struct Classified {
    data: Vec<ClassifiedItem>,
}

#[derive(Deserialize)]
struct ClassifiedItem {
    probs: Vec<Json>,
}

fn raw_score(reply: &Classified, answer: &str) -> Result<f64, EngineError> {
    let wrong = |got: String| {
        let message = format!(
            "expected one finite score from /classify, got {got}, for the answer {:?}",
            excerpt(answer, 80)
        );
        Err(EngineError::new(ErrorKind::BadResponse, message).with_retryable(false))
    };
    let [item] = reply.data.as_slice() else {
        return wrong(format!("{} result(s)", reply.data.len()));
    };
    match item.probs.as_slice() {
        [score] => match score.as_f64().filter(|score| score.is_finite()) {
            Some(score) => Ok(score),
            None => wrong(score.to_string()),
        },
        many => {
            wrong(format!("{} classes: this is not a reward model with one output", many.len()))
        }
    }
}

impl fmt::Debug for VllmReward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VllmReward")
            .field("model", &self.model)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
