//! Rewards from the likelihoods of two models.

use std::path::Path;

use secrecy::SecretString;
use tpo::{ChatTemplate, DpoReward, Error, Likelihood, LikelihoodApi};

use super::{KEY_ENV, LOCAL, Source, read_template};
use crate::engines::{missing, setup};

/// One of the two servers.
struct Server<'a> {
    url: &'a str,
    model: &'a str,
    template: ChatTemplate,
    api: LikelihoodApi,
    key: Option<SecretString>,
}

impl Source<'_> {
    /// `beta` times the log-ratio of the policy and the reference.
    pub(super) async fn penalty(&self) -> Result<DpoReward, Error> {
        let rewards = &self.spec.reward;
        let Some(model) = self.text("model", rewards.model.as_deref()) else {
            return Err(missing("reward-model", "the name of the model whose likelihoods count"));
        };
        let [url, reference_model] =
            ["reference-url", "reference-model"].map(|key| self.line.get(key));
        let (Some(reference_url), Some(reference_model)) = (url, reference_model) else {
            let expected =
                "where the reference model is, as in dpo:reference-url=URL,reference-model=MODEL";
            return Err(missing("reward", expected));
        };
        let template = self.template().await?;
        let reference = match self.line.get("reference-template") {
            Some(path) => read_template(Path::new(path)).await?,
            None => template.clone(),
        };
        let url = self.text("url", rewards.url.as_deref()).unwrap_or(LOCAL);
        let beta = self.line.number("beta")?.unwrap_or(DpoReward::DEFAULT_BETA);
        let api = self.api("likelihood")?.unwrap_or_default();
        let policy = Server { url, model, template, api, key: self.key(KEY_ENV)? };
        let reference = Server {
            url: reference_url,
            model: reference_model,
            template: reference,
            api: self.api("reference-likelihood")?.unwrap_or(api),
            // That of the policy's server is not for another one.
            key: self.key("reference-key-env")?,
        };
        DpoReward::new(self.likelihood(policy)?, self.likelihood(reference)?, beta)
    }

    fn api(&self, setting: &'static str) -> Result<Option<LikelihoodApi>, Error> {
        Ok(Some(match self.line.get(setting) {
            None => return Ok(None),
            Some("prompt_logprobs") => LikelihoodApi::PromptLogprobs,
            Some("echo") => LikelihoodApi::Echo,
            Some(other) => {
                let (expected, got) = ("prompt_logprobs or echo", other.to_owned());
                return Err(Error::Config { setting, expected, got });
            }
        }))
    }

    fn likelihood(&self, server: Server<'_>) -> Result<Likelihood, Error> {
        let mut likelihood = Likelihood::builder(server.url, server.model, server.template)
            .api(server.api)
            .timeout(self.spec.engine.timeout)
            .retry(self.spec.retry(self.cancel));
        if let Some(concurrency) = self.count("concurrency", self.spec.reward.concurrency)? {
            likelihood = likelihood.concurrency(concurrency.get());
        }
        if let Some(key) = server.key {
            likelihood = likelihood.key(key);
        }
        likelihood.build().map_err(setup("reward model"))
    }
}
