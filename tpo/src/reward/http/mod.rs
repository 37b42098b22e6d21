//! Reward models behind HTTP servers.

mod api;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use secrecy::SecretString;
use serde_json::Value as Json;
use textgrad_core::{EngineError, Seed};
use textgrad_ops::engine::http::{HttpOptions, JsonClient, JsonClientBuilder};
use textgrad_ops::layer::{CallPolicy, Limits, RetryPolicy};

pub use self::api::RewardApi;
use super::RewardModel;
use super::monitor::{ExpectedScores, ScoreMonitor};
use crate::query::Query;

/// Advice for scores that do not distinguish answers.
const ADVICE: &str =
    "check the chat template, and whether the route gives one class through a softmax";

/// A reward model behind an HTTP server; see [`RewardApi`] for the servers that are known.
///
/// Raw scores are asked for wherever a server would send them through an activation. Scores that are not
/// finite numbers are errors that name the answer, and a warning is logged once if the scores look as if
/// something were wrong with the server: all between 0 and 1, all the same, or the same for all answers to a
/// query.
///
/// # Examples
/// ```
/// use tpo::{HttpReward, RewardApi};
///
/// let reward = HttpReward::builder("http://localhost:8001", "my-reward-model", RewardApi::VllmClassify)
///     .concurrency(32)
///     .build()?;
/// # let _: &dyn tpo::RewardModel = &reward;
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
pub struct HttpReward {
    name: String,
    model: String,
    api: RewardApi,
    client: JsonClient,
    calls: CallPolicy,
    batch: usize,
    concurrency: usize,
    monitor: ScoreMonitor,
}

/// Settings of an [`HttpReward`].
#[derive(Debug)]
pub struct HttpRewardBuilder {
    client: JsonClientBuilder,
    model: String,
    api: RewardApi,
    retry: RetryPolicy,
    batch: Option<usize>,
    concurrency: usize,
}

impl HttpReward {
    /// Default number of concurrent requests.
    pub const DEFAULT_CONCURRENCY: usize = 64;

    /// A reward model at a server such as `http://localhost:8001`, by the name under which it is served.
    /// Servers that serve one model only ignore the name; reports and journals show it. The routes are below
    /// the server's root: a `/v1` at the end of the address, as chat clients have it, is left out.
    pub fn builder(
        url: impl Into<String>,
        model: impl Into<String>,
        api: RewardApi,
    ) -> HttpRewardBuilder {
        HttpRewardBuilder {
            client: JsonClient::builder(root(&url.into())),
            model: model.into(),
            api,
            retry: RetryPolicy::default(),
            batch: None,
            concurrency: Self::DEFAULT_CONCURRENCY,
        }
    }

    /// Scores answers with one request.
    async fn score_together(
        &self,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, EngineError> {
        let body = self.api.body(&self.model, query, answers)?;
        // A seed of its own for each request, so that retries do not come back all at once.
        let seed = answers.iter().fold(Seed::new(0), |seed, answer| seed.child(answer, 0));
        let call = |_attempt| self.client.post::<Json, Json>(self.api.path(), &body);
        let reply = self.calls.run(seed, 0, call).await?;
        let scores = self.api.scores(&reply, answers)?;
        self.monitor.observe(&self.name, query, answers, &scores);
        Ok(scores)
    }
}

impl HttpRewardBuilder {
    /// The key that is sent as a bearer token, for servers behind a proxy that asks for one.
    #[must_use]
    pub fn key(mut self, key: SecretString) -> Self {
        self.client = self.client.key(key);
        self
    }

    /// The longest that one request may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.http(HttpOptions::default().request_timeout(timeout));
        self
    }

    /// What is tried again, and when.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How many answers are scored with one request, at most; what a server does by itself unless said
    /// otherwise ([`RewardApi::default_batch`]). Answers that travel together are paid for together.
    #[must_use]
    pub fn batch(mut self, answers: usize) -> Self {
        self.batch = Some(answers.max(1));
        self
    }

    /// How many requests are made at the same time, at most; [`HttpReward::DEFAULT_CONCURRENCY`] unless
    /// said otherwise.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.max(1);
        self
    }

    /// The reward model.
    ///
    /// # Errors
    /// An [`EngineError`] if the URL or the key cannot be used.
    pub fn build(self) -> Result<HttpReward, EngineError> {
        let most = self.api.max_batch();
        let calls = calls(self.retry, self.concurrency);
        Ok(HttpReward {
            name: format!("{}:{}", self.api.name(), self.model),
            batch: self.batch.unwrap_or(self.api.default_batch()).min(most),
            model: self.model,
            api: self.api,
            client: self.client.build()?,
            calls,
            concurrency: self.concurrency,
            monitor: ScoreMonitor::new(ExpectedScores::raw(ADVICE)),
        })
    }
}

/// The policy of calls to a reward server.
pub(super) fn calls(retry: RetryPolicy, concurrency: usize) -> CallPolicy {
    let concurrency = u32::try_from(concurrency).unwrap_or(u32::MAX);
    let limits = Limits::default().concurrency(concurrency);
    // The client bounds the time of a request.
    CallPolicy::default().timeout(Duration::MAX).limits(limits).retry(retry)
}

/// The root of a server whose base URL may be that of chat clients. SGLang has a route below `/v1` too that
/// gives the same score to every answer.
pub(super) fn root(url: &str) -> &str {
    let bare = url.trim().trim_end_matches('/');
    bare.strip_suffix("/v1").unwrap_or(bare)
}

#[async_trait]
impl RewardModel for HttpReward {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> Cow<'_, str> {
        format!("{}{}", self.name, self.api.settings()).into()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let asked: Vec<_> =
            answers.chunks(self.batch).map(|answers| self.score_together(query, answers)).collect();
        let scores: Vec<Vec<f64>> =
            stream::iter(asked).buffered(self.concurrency).try_collect().await?;
        Ok(scores.into_iter().flatten().collect())
    }
}

impl fmt::Debug for HttpReward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReward")
            .field("api", &self.api)
            .field("model", &self.model)
            .field("client", &self.client)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
