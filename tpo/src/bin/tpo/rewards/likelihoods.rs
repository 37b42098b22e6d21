//! Rewards of the likelihoods of two models, each at a server or in the process.

use std::sync::Arc;

use textgrad_ops::engine::preset;
use tpo::{DpoReward, Error, Likelihood, LikelihoodBuilder};

use super::line::{KEY_ENV, LOCAL};
use super::source::{Source, read_template};
use crate::engines::{missing, setup};
use crate::preflight::Server;

/// How servers report likelihoods.
const API: &str = "prompt_logprobs or echo";

impl Source<'_> {
    /// `beta` times the log-ratio of the policy and the reference.
    pub(super) async fn penalty(&self) -> Result<Arc<DpoReward>, Error> {
        let Some(model) = self.text("model", "reward-model")? else {
            return Err(missing("reward-model", "the name of the model whose likelihoods count"));
        };
        let [url, reference_model, reference_template] =
            ["reference-url", "reference-model", "reference-template"]
                .map(|key| self.line.get(key).map(str::to_owned));
        let is_local = |model: &str| model.starts_with(LOCAL);
        let reference = reference_model.filter(|model| url.is_some() || is_local(model));
        let Some(reference) = reference else {
            let expected = "where the reference model is, as in dpo:reference-url=URL,reference-model=MODEL, or \
                            reference-model=local:FILE";
            return Err(missing("reward", expected));
        };
        let api = self.line.parsed("likelihood", API)?;
        let reference_api = self.line.parsed("reference-likelihood", API)?.or(api);
        let policy = if is_local(&model) {
            self.refuse(&["url", "template", KEY_ENV])?;
            if is_local(&reference) {
                self.refuse(&["likelihood", "concurrency"])?;
            }
            self.in_process(&model).await?
        } else {
            let server = Likelihood::builder(self.url()?, model, self.template().await?);
            self.at_server(server.api(api.unwrap_or_default()), KEY_ENV)?
        };
        let reference = if is_local(&reference) {
            self.refuse(&[
                "reference-url",
                "reference-template",
                "reference-key-env",
                "reference-likelihood",
            ])?;
            self.in_process(&reference).await?
        } else {
            let template = match reference_template {
                Some(path) => read_template(path.into()).await?,
                None => policy.chat_template().clone(),
            };
            let server = Likelihood::builder(url.unwrap_or_default(), reference, template);
            // The key of the policy's server is not for another one.
            self.at_server(server.api(reference_api.unwrap_or_default()), "reference-key-env")?
        };
        let beta = self.line.number("beta")?.unwrap_or(DpoReward::DEFAULT_BETA);
        let reward = Arc::new(DpoReward::new(policy, reference, beta)?);
        self.context.layers.servers.add(Server::Reward(reward.clone()));
        Ok(reward)
    }

    /// Refuses settings of a server beside a model in the process.
    fn refuse(&self, keys: &[&'static str]) -> Result<(), Error> {
        match keys.iter().find(|key| self.line.get(key).is_some()) {
            Some(key) => {
                let expected =
                    "none beside a model in the process, whose file has its chat template";
                // An address may hold a password.
                Err(Error::config(key, expected, "a value"))
            }
            None => Ok(()),
        }
    }

    fn at_server(
        &self,
        builder: LikelihoodBuilder,
        key_env: &'static str,
    ) -> Result<Likelihood, Error> {
        let mut likelihood = builder
            .timeout(self.context.layers.timeout()?)
            .retry(self.context.layers.retry()?)
            .requests_per_minute(self.requests_per_minute()?)
            .proxy_loopback(self.context.settings.flag("proxy-loopback"))
            .breaker(self.context.layers.breaker.another());
        if let Some(concurrency) = self.concurrency()? {
            likelihood = likelihood.concurrency(concurrency);
        }
        if let Some(key) = self.key(key_env)? {
            likelihood = likelihood.key(key);
        }
        likelihood.build().map_err(setup("reward model"))
    }

    /// The likelihoods of the model of a line such as `local:model.gguf`.
    async fn in_process(&self, line: &str) -> Result<Likelihood, Error> {
        let builder = preset::engine(line).map_err(setup("reward model"))?;
        self.context.layers.likelihood(&builder).await
    }
}
