//! Reward models behind HTTP servers.

mod api;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use derive_setters::Setters;
use futures_util::future::try_join_all;
use secrecy::SecretString;
use serde_json::Value as Json;
use textgrad_core::{EngineError, Seed};
use textgrad_ops::engine::http::{self, HttpOptions, JsonClient};
use textgrad_ops::layer::{Breaker, CallPolicy, Limits, RetryPolicy};

pub(super) use self::api::Asked;
pub use self::api::RewardApi;
use super::implicit::LikelihoodBuilder;
use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{RewardInfo, RewardModel};
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
#[derive(Debug)]
pub struct HttpReward {
    info: RewardInfo,
    model: String,
    api: RewardApi,
    server: Server,
    monitor: ScoreMonitor,
}

/// Settings of an [`HttpReward`].
#[derive(Debug, Setters)]
#[setters(generate = false)]
#[must_use = "a builder does nothing until it builds"]
pub struct HttpRewardBuilder {
    server: ServerSettings,
    model: String,
    api: RewardApi,
    /// How many answers are scored with one request, at most. Default: what a server does by itself
    /// ([`RewardApi::default_batch`]). Answers that travel together are paid for together.
    #[setters(generate, strip_option)]
    batch: Option<usize>,
}

/// Connection to a server that scores answers or their tokens.
#[derive(Debug, Setters)]
#[setters(
    generate_delegates(ty = "HttpRewardBuilder", field = "server"),
    generate_delegates(ty = "LikelihoodBuilder", field = "server")
)]
pub(crate) struct ServerSettings {
    #[setters(skip)]
    url: String,
    /// The key that is sent as a bearer token, for servers behind a proxy that asks for one.
    #[setters(strip_option)]
    key: Option<SecretString>,
    /// The longest that one request may take.
    #[setters(strip_option)]
    timeout: Option<Duration>,
    /// What is tried again, and when.
    retry: RetryPolicy,
    /// The most requests in flight. Default: [`HttpReward::DEFAULT_CONCURRENCY`].
    concurrency: usize,
    /// The most requests per minute, evenly spread. Default: 0, no limit.
    requests_per_minute: u32,
    /// Whether requests to this machine go through the proxies of the environment too. Default: false.
    proxy_loopback: bool,
    /// The breaker that counts failed requests. Default: one that never opens.
    breaker: Breaker,
}

impl ServerSettings {
    /// A server whose base URL may be that of chat clients.
    pub(super) fn new(url: &str) -> Self {
        let (key, timeout, retry) = (None, None, RetryPolicy::default());
        let url = url.to_owned();
        let (requests_per_minute, breaker) = (0, Breaker::default());
        let concurrency = HttpReward::DEFAULT_CONCURRENCY;
        Self {
            url,
            key,
            timeout,
            retry,
            concurrency,
            requests_per_minute,
            proxy_loopback: false,
            breaker,
        }
    }

    /// # Errors
    /// An [`EngineError`] if the URL or the key cannot be used.
    pub(super) fn build(self) -> Result<Server, EngineError> {
        let mut client = JsonClient::builder(self.url);
        if let Some(key) = self.key {
            client = client.key(key);
        }
        let mut http = HttpOptions::default().proxy_loopback(self.proxy_loopback);
        if let Some(timeout) = self.timeout {
            http = http.request_timeout(timeout);
        }
        client = client.http(http);
        let concurrency = u32::try_from(self.concurrency.max(1)).unwrap_or(u32::MAX);
        let limits = Limits::default().concurrency(concurrency);
        let limits = limits.requests_per_minute(self.requests_per_minute);
        // The client bounds the time of a request.
        let calls = CallPolicy::default().timeout(Duration::MAX).limits(limits).retry(self.retry);
        let calls = calls.breaker(self.breaker);
        // SGLang has a route below `/v1` too that gives the same score to every answer.
        Ok(Server { client: client.build()?.root(), calls })
    }
}

/// A server that scores answers or their tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    client: JsonClient,
    calls: CallPolicy,
}

impl Server {
    /// Posts a request about answers.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Json,
        answers: &[&str],
    ) -> Result<Json, EngineError> {
        // A seed of its own for each request, so that retries do not come back all at once.
        let seed = answers.iter().fold(Seed::new(0), |seed, answer| seed.child(answer, 0));
        let reply = self.calls.run(seed, 0, |_attempt| self.client.post::<Json, Json>(path, body));
        // Errors quote what they cannot read, and some servers repeat the request.
        reply.await.map(|reply| self.client.redact(reply))
    }
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
        let (server, model) = (ServerSettings::new(&url.into()), model.into());
        HttpRewardBuilder { server, model, api, batch: None }
    }

    /// The names of the models that a server lists.
    ///
    /// # Errors
    /// Those of [`JsonClient::get`].
    pub async fn served_models(
        url: &str,
        key: Option<SecretString>,
    ) -> Result<Vec<String>, EngineError> {
        let mut server = ServerSettings::new(url);
        server.key = key;
        http::served_models(&server.build()?.client, "v1/models").await
    }

    /// Scores answers with one request.
    async fn score_together(
        &self,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, EngineError> {
        let body = self.api.body(&self.model, query, answers)?;
        let reply = self.server.post(self.api.path(), &body, answers).await?;
        let scores = self.api.scores(&reply, answers)?;
        self.monitor.observe(self.name(), query, answers, &scores);
        Ok(scores)
    }
}

impl HttpRewardBuilder {
    /// The reward model.
    ///
    /// # Errors
    /// An [`EngineError`] if the URL or the key cannot be used.
    pub fn build(self) -> Result<HttpReward, EngineError> {
        let Self { server, model, api, batch } = self;
        let name = format!("{}:{model}", api.name());
        let identity = format!("{name}{}", api.settings());
        let batch = batch.unwrap_or(api.default_batch()).clamp(1, api.max_batch());
        Ok(HttpReward {
            info: RewardInfo::new(name).with_identity(identity).with_batch(batch),
            model,
            api,
            server: server.build()?,
            monitor: ScoreMonitor::new(ExpectedScores::Raw, ADVICE),
        })
    }
}

#[async_trait]
impl RewardModel for HttpReward {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn max_length(&self) -> Option<u64> {
        http::context_length(&self.server.client, &self.model).await
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let chunks = answers.chunks(self.batch());
        // The call policy bounds how many requests are in flight.
        let scored = try_join_all(chunks.map(|answers| self.score_together(query, answers)));
        Ok(scored.await?.concat())
    }
}
