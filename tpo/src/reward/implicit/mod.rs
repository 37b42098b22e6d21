//! Implicit rewards, from the likelihoods of two models.

mod echo;
mod likelihood;
mod span;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{join_all, try_join};
use textgrad_core::EngineError;

pub use self::likelihood::{Likelihood, LikelihoodApi, LikelihoodBuilder};
use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{EngineScope, RewardInfo, RewardModel};
use crate::error::Error;
use crate::query::Query;

/// How much two servers' log-likelihoods of one answer by one model may differ.
const NOISE: f64 = 0.01;

/// Advice for log-ratios that do not distinguish answers.
const DPO_ADVICE: &str = "the policy and the reference seem to be the same model";
/// What to look at if rewards with their penalty do not.
const PPO_ADVICE: &str = "see what the reward model makes of answers by itself";

/// The reward that a model implies which was trained by preferences, in the form of DPO (Rafailov et al.,
/// "Direct Preference Optimization", 2023): `beta * (log p(answer) - log p_reference(answer))`, over the
/// answer's tokens. What depends on the query alone is left out, so scores compare answers to one query.
///
/// # Examples
/// ```
/// use tpo::{ChatTemplate, DpoReward, Likelihood, RewardModel};
///
/// let template = ChatTemplate::from_source("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}\
///     {% if add_generation_prompt %}[assistant]{% endif %}", None)?;
/// let policy = Likelihood::builder("http://localhost:8000", "tuned", template.clone()).build()?;
/// let reference = Likelihood::builder("http://localhost:8001", "base", template).build()?;
/// let reward = DpoReward::new(policy, reference, 0.1)?;
/// assert_eq!(reward.name(), "dpo:tuned/base");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct DpoReward {
    info: RewardInfo,
    policy: Likelihood,
    reference: Likelihood,
    beta: f64,
    monitor: ScoreMonitor,
}

impl DpoReward {
    /// `beta` unless the command line says otherwise, as most who train by DPO set it.
    pub const DEFAULT_BETA: f64 = 0.1;

    /// The reward that `policy` implies relative to `reference`, the model that it was trained from.
    ///
    /// # Errors
    /// [`Error::Config`] unless `beta` is finite and above 0.
    pub fn new(policy: Likelihood, reference: Likelihood, beta: f64) -> Result<Self, Error> {
        if !(beta.is_finite() && beta > 0.0) {
            return Err(Error::config("beta", "a finite number above 0", beta.to_string()));
        }
        let name = format!("dpo:{}/{}", policy.model(), reference.model());
        let identity =
            format!("{beta} * log-ratio of {} and {}", policy.identity(), reference.identity());
        // Each answer is scored by itself, so the failure of one does not lose the others.
        let info = RewardInfo::new(name).with_identity(identity).with_batch(1);
        let monitor = ScoreMonitor::new(ExpectedScores::Any, DPO_ADVICE).tolerance(NOISE * beta);
        Ok(Self { info, policy, reference, beta, monitor })
    }

    /// The logarithm of how many times likelier the answer is to the policy than to the reference.
    ///
    /// # Errors
    /// That of the [`Likelihood`]s.
    pub async fn log_ratio(&self, query: &Query, answer: &str) -> Result<f64, EngineError> {
        let likelihoods =
            try_join(self.policy.logprob(query, answer), self.reference.logprob(query, answer));
        let (policy, reference) = likelihoods.await?;
        Ok(policy - reference)
    }
}

#[async_trait]
impl RewardModel for DpoReward {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn max_length(&self) -> Option<u64> {
        [&self.policy, &self.reference].into_iter().filter_map(Likelihood::max_length).min()
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let ratios = answers.iter().map(|answer| self.log_ratio(query, answer));
        let ratios: Result<Vec<f64>, EngineError> = join_all(ratios).await.into_iter().collect();
        let scores: Vec<f64> = ratios?.into_iter().map(|ratio| self.beta * ratio).collect();
        self.monitor.observe(self.name(), query, answers, &scores);
        Ok(scores)
    }
}

/// A reward model with the penalty that keeps PPO near its reference, for each answer by itself:
/// `reward - beta * (log p(answer) - log p_reference(answer))` (Ouyang et al., "Training language models to
/// follow instructions with human feedback", 2022). The log-ratio of one answer is an estimate of the KL
/// divergence from one sample: it can be negative.
#[derive(Debug)]
pub struct PpoReward {
    info: RewardInfo,
    reward: Arc<dyn RewardModel>,
    penalty: Arc<dyn RewardModel>,
    monitor: ScoreMonitor,
}

impl PpoReward {
    /// A reward model less this penalty, `beta` times the log-ratio.
    #[must_use]
    pub fn new(reward: Arc<dyn RewardModel>, penalty: impl Into<Arc<DpoReward>>) -> Self {
        let penalty = penalty.into();
        let models = penalty.name().strip_prefix("dpo:").unwrap_or(penalty.name());
        let info = RewardInfo::new(format!("{} - kl:{models}", reward.name()))
            .with_identity(format!("{} - {}", reward.identity(), penalty.identity()))
            // That of the part that takes fewer, so that the failure of one answer does not lose what the others cost.
            .with_batch(reward.batch().min(penalty.batch()))
            .with_simulation(reward.is_simulation())
            .with_relative(reward.is_relative());
        let monitor = ScoreMonitor::new(ExpectedScores::Any, PPO_ADVICE);
        Self { info, reward, penalty, monitor }
    }
}

#[async_trait]
impl RewardModel for PpoReward {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scored =
            try_join(self.reward.score(query, answers), self.penalty.score(query, answers));
        let (rewards, penalties) = scored.await?;
        if rewards.len() != penalties.len() {
            // The search says how many there should have been.
            return Ok(rewards);
        }
        let both = rewards.into_iter().zip(penalties);
        let scores: Vec<f64> = both.map(|(reward, penalty)| reward - penalty).collect();
        self.monitor.observe(self.name(), query, answers, &scores);
        Ok(scores)
    }

    /// None if the reward model asks no engine: the scores are then written down as one.
    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        let reward = self.reward.bind(scope)?;
        let penalty = scope.reward(&self.penalty);
        let (info, monitor) = (self.info.clone(), self.monitor.clone());
        Some(Arc::new(Self { info, reward, penalty, monitor }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChatTemplate;
    use crate::reward::ScorerReward;

    #[test]
    fn a_penalty_is_asked_for_answer_by_answer() {
        let source = "{% for m in messages %}{{ m.content }}{% endfor %}";
        let template = ChatTemplate::from_source(source, None).unwrap();
        let server = |model: &str| {
            Likelihood::builder("http://localhost:1", model, template.clone()).build().unwrap()
        };
        let penalty = DpoReward::new(server("a"), server("b"), 0.1).unwrap();
        let reward = Arc::new(ScorerReward::length(1, 2, 1));
        assert_eq!(reward.batch(), usize::MAX);
        assert_eq!(PpoReward::new(reward, penalty).batch(), 1);
    }
}
