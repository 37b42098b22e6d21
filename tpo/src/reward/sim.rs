//! The simulated reward model.

use async_trait::async_trait;
use textgrad_core::EngineError;
use textgrad_ops::engine::sim;

use super::RewardModel;
use crate::query::Query;

/// The simulated reward model that belongs to [`sim::Sim`]. It reads nothing but the query and the answer,
/// and its scores say nothing about real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimReward;

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
