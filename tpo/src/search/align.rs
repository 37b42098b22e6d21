//! The outcome of a search.

use std::fmt;
use std::time::Duration;

use textgrad_core::{Graph, Variable};

use super::pool::{Candidate, Pool};
use super::trajectory::Trajectory;
use crate::error::Error;
use crate::query::Query;

/// The outcome of a query.
#[derive(Debug, Clone)]
pub struct Alignment {
    pub(super) query: Query,
    pub(super) best: usize,
    pub(super) pool: Pool,
    pub(crate) trajectory: Trajectory,
    pub(super) ends: Vec<Variable>,
    pub(super) model_time: Duration,
}

impl Alignment {
    /// The query.
    #[must_use]
    pub fn query(&self) -> &str {
        self.query.text()
    }

    /// The best answer: that with the highest score of all, whichever iteration it comes from.
    #[must_use]
    pub fn answer(&self) -> &str {
        self.pool.get(self.best).map(Candidate::text).unwrap_or_default()
    }

    /// Its score.
    #[must_use]
    pub fn score(&self) -> f64 {
        // The best of a pool is a position in it.
        self.pool.get(self.best).map_or(f64::NAN, |candidate| candidate.score)
    }

    /// The position of the best answer among the candidates.
    #[must_use]
    pub fn best(&self) -> usize {
        self.best
    }

    /// All answers, as variables of the graph.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Everything that happened, as plain data.
    #[must_use]
    pub fn trajectory(&self) -> &Trajectory {
        &self.trajectory
    }

    /// The whole search as one graph: samples, losses, gradients, updates, and their dependencies.
    #[must_use]
    pub fn graph(&self) -> Graph {
        Graph::trace_all(&self.ends)
    }

    /// How long the search waited for calls, with the waits between retries. Calls whose answers
    /// came from a journal count nothing.
    #[must_use]
    pub fn model_time(&self) -> Duration {
        self.model_time
    }
}

/// A search that ended early.
#[derive(Debug)]
pub struct AlignError {
    /// The failure.
    pub error: Error,
    /// The trajectory until then.
    pub trajectory: Trajectory,
}

impl fmt::Display for AlignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.trajectory.candidates.len();
        write!(f, "the search ended early; {found} scored answer(s) are kept")
    }
}

impl std::error::Error for AlignError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Keeps the error and drops what had been found: for callers that only want to pass it on.
impl From<AlignError> for Error {
    fn from(failure: AlignError) -> Self {
        failure.error
    }
}
