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
    /// From here on the run has other settings: more iterations, or more queries. Steps before it hold on.
    Extended {
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
    /// A score of the reward model.
    Score {
        /// The place of the query, from 0.
        query: usize,
        /// What was asked.
        key: String,
        /// What was answered.
        score: f64,
        /// How long it took, in milliseconds; for several that were scored together, all of them.
        ms: u64,
    },
    /// A call that failed for good and that the search went on without: a repetition does the same.
    Failed {
        /// The place of the query, from 0.
        query: usize,
        /// What was asked.
        key: String,
        /// What went wrong.
        message: String,
    },
}

impl Record {
    pub(super) fn query(&self) -> Option<usize> {
        match self {
            Self::Run { .. } | Self::Extended { .. } => None,
            Self::Call { query, .. } | Self::Score { query, .. } | Self::Failed { query, .. } => {
                Some(*query)
            }
        }
    }
}
