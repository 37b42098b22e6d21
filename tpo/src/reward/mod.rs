//! Reward models.

mod ensemble;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod implicit;
mod judge;
#[cfg(feature = "local-reward")]
mod local;
mod monitor;
mod scorer;
mod truncated;

use std::borrow::Cow;
use std::sync::Arc;
#[cfg(feature = "sim")]
use std::sync::LazyLock;

use async_trait::async_trait;
use auto_impl::auto_impl;
use derive_setters::Setters;
use textgrad_core::{Engine, EngineError, Error, ErrorKind, describe};
#[cfg(any(feature = "http", feature = "local-reward"))]
use textgrad_ops::ChatTemplateError;
#[cfg(feature = "sim")]
use textgrad_ops::sim;

pub use self::ensemble::{Combine, Ensemble, Member};
#[cfg(feature = "http")]
pub use self::http::{HttpReward, HttpRewardBuilder, RewardApi};
#[cfg(feature = "http")]
pub use self::implicit::{DpoReward, Likelihood, LikelihoodApi, LikelihoodBuilder, PpoReward};
pub use self::judge::{JudgeReward, JudgeRewardBuilder, Verdict};
#[cfg(feature = "local-reward")]
pub use self::local::LocalReward;
pub use self::scorer::{ScorerReward, reward_fn};
pub use self::truncated::TruncatedReward;
use crate::query::Query;

/// The constant properties of a [`RewardModel`]; see [`RewardModel::info`].
#[derive(Debug, Clone, PartialEq, Eq, Setters)]
#[setters(prefix = "with_")]
pub struct RewardInfo {
    #[setters(skip)]
    name: Cow<'static, str>,
    /// Sets the identity: the name and the settings that the name omits. Two reward models of one identity give
    /// equal scores. Journals keep scores by it. Never a secret. Default: the name.
    #[setters(into, strip_option)]
    identity: Option<String>,
    /// Sets how many answers are scored with one request, at most. What was scored with one request is paid for
    /// together; a search gives no more than this at a time, and several times at once. Default: no limit.
    batch: usize,
    /// Sets whether the scores are simulated. Anything that shows them must say so. Default: false.
    #[setters(rename = "with_simulation")]
    is_simulation: bool,
    /// Sets whether the score of an answer depends on the others that it is scored with. A search then scores its
    /// whole pool anew whenever answers are added, with one call, whatever the batch is: all scores of a pool
    /// are those of the last call. Default: false.
    #[setters(rename = "with_relative")]
    is_relative: bool,
}

impl RewardInfo {
    /// The info of a reward model by a short name for journals and reports. Never a secret.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        Self { name, identity: None, batch: usize::MAX, is_simulation: false, is_relative: false }
    }
}

/// Scores answers to a query. Scores are comparable only within one query and one model.
///
/// # Examples
/// See [`reward_fn`], a reward model from a function.
#[async_trait]
#[auto_impl(Arc)]
pub trait RewardModel: Send + Sync {
    /// Name, identity and kind of scores. A reward model around another returns that of the inner one.
    fn info(&self) -> &RewardInfo;

    /// A short name for journals and reports; see [`RewardInfo::new`].
    fn name(&self) -> &str {
        &self.info().name
    }

    /// The name and the settings that the name omits; see [`RewardInfo::with_identity`].
    fn identity(&self) -> &str {
        self.info().identity.as_deref().unwrap_or(self.name())
    }

    /// How many answers are scored with one request, at most; see [`RewardInfo::with_batch`].
    fn batch(&self) -> usize {
        self.info().batch
    }

    /// Whether the scores are simulated; see [`RewardInfo::with_simulation`].
    fn is_simulation(&self) -> bool {
        self.info().is_simulation
    }

    /// Whether scores depend on the answers that are scored together; see [`RewardInfo::with_relative`].
    fn is_relative(&self) -> bool {
        self.info().is_relative
    }

    /// The longest text that is scored, in tokens, where the server reports it. It is asked for it.
    async fn max_length(&self) -> Option<u64> {
        None
    }

    /// Scores answers: one finite number per answer, in order; higher is better.
    ///
    /// # Errors
    /// An [`EngineError`] whose kind says what went wrong and whether trying again can help.
    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError>;

    /// The same reward model within one search; none if it asks no engine. A reward model that asks
    /// engines returns one whose engines, and whose parts that are reward models, are bound to the
    /// scope, so that a search writes its requests down, counts them and can be resumed without asking
    /// again. Whatever it remembers of one search belongs into what is given back.
    fn bind(&self, _scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        None
    }
}

textgrad_core::debug_by!(dyn RewardModel, name);

/// The scope of one search, which engines and reward models are bound to; see [`RewardModel::bind`].
pub trait EngineScope {
    /// An engine within the search.
    fn engine(&self, engine: &Arc<dyn Engine>) -> Arc<dyn Engine>;

    /// A reward model that is part of another, within the search.
    fn reward(&self, reward: &Arc<dyn RewardModel>) -> Arc<dyn RewardModel>;
}

/// The turns of a query and an answer to it, by role and content.
#[cfg(any(feature = "http", feature = "local-reward"))]
fn conversation<'a>(query: &'a Query, answer: &'a str) -> Vec<(&'a str, &'a str)> {
    let turns = query.turns().map(|(role, text)| (role.as_str(), text));
    turns.chain([("assistant", answer)]).collect()
}

/// The error of a chat template, by the name of its model, that refuses a conversation. Asking again cannot help.
#[cfg(any(feature = "http", feature = "local-reward"))]
fn refused(error: ChatTemplateError, template: &str) -> EngineError {
    let message = format!("expected {template} to take a query and an answer");
    EngineError::new(ErrorKind::InvalidRequest, message).with_source(error)
}

/// The engine's own error, or a final one.
fn engine_error(error: Error) -> EngineError {
    match error.engine() {
        Some(engine) => engine.clone(),
        None => EngineError::new(ErrorKind::BadResponse, describe(&error)).with_retryable(false),
    }
}

/// The simulated reward model that belongs to [`sim::Sim`]. It reads nothing but the query and the answer,
/// and its scores say nothing about real ones.
#[cfg(feature = "sim")]
#[derive(Debug, Clone, Copy, Default)]
pub struct SimReward;

#[cfg(feature = "sim")]
#[async_trait]
impl RewardModel for SimReward {
    fn info(&self) -> &RewardInfo {
        static INFO: LazyLock<RewardInfo> =
            LazyLock::new(|| RewardInfo::new("sim").with_simulation(true));
        &INFO
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        Ok(answers.iter().map(|answer| sim::reward(query.text(), answer)).collect())
    }
}
