//! The value of an objective, where it has one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How well something did: a number, or whether it passed. More is better.
///
/// An objective in words has feedback but no value; a check, an evaluator or a reward model has one, and so
/// progress can be plotted and candidates compared.
///
/// # Examples
/// ```
/// use textgrad_core::Score;
///
/// assert_eq!(Score::from(0.25).as_f64(), 0.25);
/// assert_eq!(Score::from(true).as_f64(), 1.0);
/// assert_eq!(Score::from(false).passed(), Some(false));
/// assert_eq!(Score::from(0.25).passed(), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// A number, in units of whoever gave it.
    Number(f64),
    /// Whether something held.
    Passed(bool),
}

impl Score {
    /// The score as a number: one that passed is 1, one that did not is 0.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Passed(passed) => f64::from(u8::from(passed)),
        }
    }

    /// Whether it passed; `None` for a number, which has no such bound.
    #[must_use]
    pub fn passed(self) -> Option<bool> {
        match self {
            Self::Number(_) => None,
            Self::Passed(passed) => Some(passed),
        }
    }
}

impl From<f64> for Score {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Score {
    fn from(passed: bool) -> Self {
        Self::Passed(passed)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Passed(true) => f.write_str("passed"),
            Self::Passed(false) => f.write_str("failed"),
        }
    }
}
