//! Which answers may be rewritten.

use serde::{Deserialize, Serialize};

/// Which answers may be rewritten. Whatever it says, every answer stays in the pool, and the best of all is
/// returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// Those that the scores speak for: a new version takes an older one's place only if it is better. The
    /// paper's method.
    #[default]
    Improvement,
    /// The newest, whatever their scores: without the reward model as a gate between iterations.
    Always,
}
