//! What was spent, and what is left.

use serde::{Deserialize, Serialize};
use textgrad_core::Usage;

use super::money::Money;

/// What was spent of a [`Budget`](super::Budget). Kept with a run, it lets a later one go on from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spent {
    /// Calls begun, those under way and those that failed among them.
    pub calls: u64,
    /// Tokens of the calls that were answered.
    pub usage: Usage,
    /// What these tokens cost.
    pub money: Money,
}

/// What is left of a [`Budget`](super::Budget); `None` where there is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Remaining {
    /// Calls that may still begin.
    pub calls: Option<u64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// Money.
    pub money: Option<Money>,
}

impl Remaining {
    /// Whether no further call may begin.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.calls == Some(0) || self.tokens == Some(0) || self.money == Some(Money::ZERO)
    }
}
