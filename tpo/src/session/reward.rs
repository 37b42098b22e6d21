//! A reward model as one query sees it.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, ErrorKind};

use super::Session;
use crate::query::Query;
use crate::reward::{RewardModel, Surroundings};

/// A reward model within a session.
pub(crate) struct Scorer {
    pub(super) model: Arc<dyn RewardModel>,
    /// Whether the journal holds its scores. One that asks engines is asked again for every score: its
    /// requests are in the journal, and are counted as they were.
    pub(super) writes_scores: bool,
}

impl Scorer {
    pub(crate) fn is_relative(&self) -> bool {
        self.model.is_relative()
    }

    pub(crate) fn writes_scores(&self) -> bool {
        self.writes_scores
    }
}

impl Session {
    /// The reward model, seen from within this session.
    pub(crate) fn scorer(&self, reward: &Arc<dyn RewardModel>) -> Scorer {
        match reward.within(self) {
            Some(model) => Scorer { model, writes_scores: false },
            None => Scorer { model: Arc::clone(reward), writes_scores: true },
        }
    }
}

impl Surroundings for Session {
    fn engine(&self, engine: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Session::engine(self, engine)
    }

    fn reward(&self, reward: &Arc<dyn RewardModel>) -> Arc<dyn RewardModel> {
        let scorer = Scorer { model: Arc::clone(reward), writes_scores: true };
        Arc::new(SessionReward { scorer, session: self.clone() })
    }
}

/// A reward model that is part of another: its scores are written down, and counted by the whole.
struct SessionReward {
    scorer: Scorer,
    session: Session,
}

#[async_trait]
impl RewardModel for SessionReward {
    fn name(&self) -> &str {
        self.scorer.model.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.scorer.model.identity()
    }

    fn batch(&self) -> usize {
        self.scorer.model.batch()
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scored = self.session.scores(&self.scorer, query, answers).await;
        scored.map_err(|error| match error.engine() {
            Some(engine) => engine.clone(),
            None => {
                EngineError::new(ErrorKind::BadResponse, error.to_string()).with_retryable(false)
            }
        })
    }

    fn is_simulation(&self) -> bool {
        self.scorer.model.is_simulation()
    }

    fn is_relative(&self) -> bool {
        self.scorer.model.is_relative()
    }
}
