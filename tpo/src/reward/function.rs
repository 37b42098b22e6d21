//! A reward model from a function.

use std::fmt;

use async_trait::async_trait;
use textgrad_core::EngineError;

use super::RewardModel;
use crate::query::Query;

/// A reward model made of a function; see [`reward_fn`].
#[derive(Clone)]
pub struct RewardFn<F> {
    name: String,
    function: F,
}

/// Makes a reward model of a function of the query and one answer. It runs in the search's task: it must
/// compute quickly and not wait for anything.
///
/// # Examples
/// ```
/// use tpo::{RewardModel, reward_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let brevity = reward_fn("brevity", |_query, answer: &str| -(answer.len() as f64));
/// assert_eq!(brevity.score(&"why?".into(), &["because", "so"]).await?, [-7.0, -2.0]);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
pub fn reward_fn<F>(name: impl Into<String>, function: F) -> RewardFn<F>
where
    F: Fn(&str, &str) -> f64 + Send + Sync,
{
    RewardFn { name: name.into(), function }
}

#[async_trait]
impl<F: Fn(&str, &str) -> f64 + Send + Sync> RewardModel for RewardFn<F> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        Ok(answers.iter().map(|answer| (self.function)(query.text(), answer)).collect())
    }
}

impl<F> fmt::Debug for RewardFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RewardFn").field("name", &self.name).finish_non_exhaustive()
    }
}
