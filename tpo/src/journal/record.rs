//! A line of the journal.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{Purpose, Response};

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The first line.
    Run {
        /// The version of the format.
        schema: u32,
        /// The settings that the results depend on.
        config: Json,
    },
    /// A call of a language model.
    Call {
        /// The place of the query, from 0.
        query: usize,
        /// Why it was made.
        purpose: Purpose,
        /// What was asked.
        key: String,
        /// What was answered.
        response: Response,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A call of the reward model.
    Scores {
        /// The place of the query, from 0.
        query: usize,
        /// What was asked.
        key: String,
        /// What was answered.
        scores: Vec<f64>,
        /// How long it took, in milliseconds.
        ms: u64,
    },
}

impl Record {
    pub(super) fn query(&self) -> Option<usize> {
        match self {
            Self::Run { .. } => None,
            Self::Call { query, .. } | Self::Scores { query, .. } => Some(*query),
        }
    }
}
