//! Setting up what compares likelihoods of two models.

use std::path::Path;
use std::time::Duration;

use tpo::{ChatTemplate, DpoReward, Error, Likelihood};

use super::{LOCAL, Source, read_template};
use crate::engines::{missing, retry, secret, setup};

impl Source<'_> {
    /// `beta` times the log-ratio of the policy and the reference.
    pub(super) async fn penalty(&self) -> Result<DpoReward, Error> {
        let rewards = &self.args.rewards;
        let Some(model) = self.text("model", rewards.reward_model.as_deref()) else {
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
        let url = self.text("url", rewards.reward_url.as_deref()).unwrap_or(LOCAL);
        let beta = self.line.number("beta")?.unwrap_or(DpoReward::DEFAULT_BETA);
        let policy = self.likelihood(url, model, template)?;
        DpoReward::new(policy, self.likelihood(reference_url, reference_model, reference)?, beta)
    }

    fn likelihood(
        &self,
        url: &str,
        model: &str,
        template: ChatTemplate,
    ) -> Result<Likelihood, Error> {
        let mut likelihood = Likelihood::builder(url, model, template)
            .timeout(Duration::from_secs(self.args.timeout))
            .retry(retry(self.args, self.stop));
        if let Some(concurrency) =
            self.count("concurrency", self.args.rewards.reward_concurrency)?
        {
            likelihood = likelihood.concurrency(concurrency.get());
        }
        if let Some(key) = secret("REWARD_API_KEY") {
            likelihood = likelihood.key(key);
        }
        likelihood.build().map_err(setup("reward model"))
    }
}
