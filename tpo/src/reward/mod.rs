//! Reward models: what says how good an answer is.

mod command;
mod ensemble;
mod function;
mod http;
mod rule;
mod sim;
mod template;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::EngineError;

pub use self::command::CommandReward;
pub use self::ensemble::{Combine, Ensemble, Member};
pub use self::function::{RewardFn, reward_fn};
pub use self::http::{HttpReward, HttpRewardBuilder, RewardApi};
pub use self::rule::{CheckReward, LengthReward};
pub use self::sim::SimReward;
pub use self::template::{ChatTemplate, ChatTemplateError};
use crate::query::Query;

/// Something that scores answers to a query. Scores are comparable only within one query and one model.
///
/// # Examples
/// See [`reward_fn`], which makes one of a function.
#[async_trait]
pub trait RewardModel: Send + Sync {
    /// A short name for journals and reports. Never a secret.
    fn name(&self) -> &str;

    /// What tells its scores from those of any other: the name, and the settings that the name leaves out.
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
}
