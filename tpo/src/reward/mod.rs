//! Reward models.

use std::fmt;
mod ensemble;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod implicit;
mod judge;
mod monitor;
mod scorer;
#[cfg(feature = "http")]
mod template;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError};
#[cfg(feature = "sim")]
use textgrad_ops::sim;

pub use self::ensemble::{Combine, Ensemble, Member};
#[cfg(feature = "http")]
pub use self::http::{HttpReward, HttpRewardBuilder, RewardApi};
#[cfg(feature = "http")]
pub use self::implicit::{DpoReward, Likelihood, LikelihoodApi, LikelihoodBuilder, PpoReward};
pub use self::judge::{JudgeReward, JudgeRewardBuilder};
pub use self::scorer::{ScorerReward, reward_fn};
#[cfg(feature = "http")]
pub use self::template::{ChatTemplate, ChatTemplateError};
use crate::query::Query;

/// Scores answers to a query. Scores are comparable only within one query and one model.
///
/// # Examples
/// See [`reward_fn`], a reward model from a function.
#[async_trait]
pub trait RewardModel: Send + Sync {
    /// A short name for journals and reports. Never a secret.
    fn name(&self) -> &str;

    /// The name and the settings that the name omits: two reward models of one identity give equal scores.
    /// Journals keep scores by it. Never a secret.
    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name())
    }

    /// How many answers it scores with one request, at most. What was scored with one request is paid for
    /// together; a search gives it no more than this at a time, and several times at once.
    fn batch(&self) -> usize {
        usize::MAX
    }

    /// Scores answers: one finite number per answer, in order; higher is better.
    ///
    /// # Errors
    /// An [`EngineError`] whose kind says what went wrong and whether trying again can help.
    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError>;

    /// Whether the scores are simulated. Anything that shows them must say so.
    fn is_simulation(&self) -> bool {
        false
    }

    /// Whether the score of an answer depends on the others that it is scored with. A search then scores its
    /// whole pool anew whenever answers are added, with one call, whatever [`batch`](Self::batch) says: all
    /// scores of a pool are those of the last call.
    fn is_relative(&self) -> bool {
        false
    }

    /// The same reward model within one search; none if it asks no engine. A reward model that asks
    /// engines returns one whose engines, and whose parts that are reward models, are bound to the
    /// scope, so that a search writes its requests down, counts them and can be resumed without asking
    /// again. Whatever it remembers of one search belongs into what is given back.
    fn bind(&self, _scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        None
    }
}

impl fmt::Debug for dyn RewardModel + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RewardModel").field(&self.name()).finish()
    }
}

/// The scope of one search, which engines and reward models are bound to; see [`RewardModel::bind`].
pub trait EngineScope {
    /// An engine within the search.
    fn engine(&self, engine: &Arc<dyn Engine>) -> Arc<dyn Engine>;

    /// A reward model that is part of another, within the search.
    fn reward(&self, reward: &Arc<dyn RewardModel>) -> Arc<dyn RewardModel>;
}

#[async_trait]
impl<R: RewardModel + ?Sized> RewardModel for Arc<R> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn identity(&self) -> Cow<'_, str> {
        (**self).identity()
    }

    fn batch(&self) -> usize {
        (**self).batch()
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        (**self).score(query, answers).await
    }

    fn is_simulation(&self) -> bool {
        (**self).is_simulation()
    }

    fn is_relative(&self) -> bool {
        (**self).is_relative()
    }

    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        (**self).bind(scope)
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
    fn name(&self) -> &str {
        "sim"
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        Ok(answers.iter().map(|answer| sim::reward(query.text(), answer)).collect())
    }

    fn is_simulation(&self) -> bool {
        true
    }
}
