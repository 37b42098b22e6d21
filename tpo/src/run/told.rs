//! What the record of a search says where its journal cannot.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::EngineError;

use super::recall::Missing;
use super::results::ResultRecord;
use crate::query::Query;
use crate::reward::{EngineScope, RewardModel};
use crate::search::{Comparison, IterationRecord, PairCx, PairSelection};

/// A reward model whose scores are those that a record has: where it asked engines, the journal has the requests.
#[derive(Clone)]
pub(super) struct Told {
    name: String,
    simulated: bool,
    query: Query,
    scores: Arc<HashMap<String, f64>>,
    missing: Missing,
}

impl Told {
    pub(super) fn new(
        name: &str,
        simulated: bool,
        record: &ResultRecord,
        missing: &Missing,
    ) -> Self {
        let candidates = &record.trajectory.candidates;
        let scores = candidates.iter().map(|candidate| (candidate.text.clone(), candidate.score));
        Self {
            name: name.to_owned(),
            simulated,
            query: record.query.clone(),
            scores: Arc::new(scores.collect()),
            missing: missing.clone(),
        }
    }
}

#[async_trait]
impl RewardModel for Told {
    fn name(&self) -> &str {
        &self.name
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let score = |answer: &&str| {
            let told = self.scores.get(*answer).filter(|_| *query == self.query).copied();
            told.ok_or_else(|| self.missing.step("a score".to_owned()))
        };
        answers.iter().map(score).collect()
    }

    fn is_simulation(&self) -> bool {
        self.simulated
    }

    /// Itself, since its scores are not to be written down.
    fn bind(&self, _: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        Some(Arc::new(self.clone()))
    }
}

/// The comparisons that a record has: the scores by which they were chosen were others than those of the end.
pub(super) struct Compared {
    name: String,
    made: Vec<IterationRecord>,
}

impl Compared {
    pub(super) fn new(name: &str, record: &ResultRecord) -> Self {
        Self { name: name.to_owned(), made: record.trajectory.iterations.clone() }
    }
}

impl PairSelection for Compared {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let made = self.made.iter().filter(|made| made.iteration == cx.iteration());
        let compared =
            made.map(|made| Comparison { chosen: made.chosen, rejected: made.rejected.clone() });
        compared.collect()
    }
}
