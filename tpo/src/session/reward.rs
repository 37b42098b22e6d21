//! Reward models within a session.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, ErrorKind};

use super::Session;
use crate::query::Query;
use crate::reward::{EngineScope, RewardModel};

/// A reward model within a session.
pub(crate) struct BoundReward {
    pub(super) model: Arc<dyn RewardModel>,
    /// Whether the journal has its scores. A model that asks engines scores again on resume: the journal has its
    /// requests instead.
    pub(super) is_journaled: bool,
}

impl BoundReward {
    pub(crate) fn is_relative(&self) -> bool {
        self.model.is_relative()
    }

    pub(crate) fn is_journaled(&self) -> bool {
        self.is_journaled
    }
}

impl Session {
    /// The reward model within this session.
    pub(crate) fn bind(&self, reward: &Arc<dyn RewardModel>) -> BoundReward {
        match reward.bind(self) {
            Some(model) => BoundReward { model, is_journaled: false },
            None => BoundReward { model: Arc::clone(reward), is_journaled: true },
        }
    }
}

impl EngineScope for Session {
    fn engine(&self, engine: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Session::engine(self, engine)
    }

    fn reward(&self, reward: &Arc<dyn RewardModel>) -> Arc<dyn RewardModel> {
        let bound = BoundReward { model: Arc::clone(reward), is_journaled: true };
        Arc::new(SessionReward { bound, session: self.clone() })
    }
}

/// A reward model that is part of another: its scores are journaled, and counted by the whole.
struct SessionReward {
    bound: BoundReward,
    session: Session,
}

#[async_trait]
impl RewardModel for SessionReward {
    fn name(&self) -> &str {
        self.bound.model.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.bound.model.identity()
    }

    fn batch(&self) -> usize {
        self.bound.model.batch()
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scored = self.session.scores(&self.bound, query, answers).await;
        scored.map_err(|error| match error.engine() {
            Some(engine) => engine.clone(),
            None => {
                EngineError::new(ErrorKind::BadResponse, error.to_string()).with_retryable(false)
            }
        })
    }

    fn is_simulation(&self) -> bool {
        self.bound.model.is_simulation()
    }

    fn is_relative(&self) -> bool {
        self.bound.model.is_relative()
    }
}
