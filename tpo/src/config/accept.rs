//! Which answers may be rewritten.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

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

impl Accept {
    /// The name on the command line and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Improvement => "improvement",
            Self::Always => "always",
        }
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Accept {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut known = [Self::Improvement, Self::Always].into_iter();
        known.find(|accept| accept.as_str() == text).ok_or_else(|| Error::Config {
            setting: "accept",
            expected: "improvement or always",
            got: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_are_those_of_files() {
        for accept in [Accept::Improvement, Accept::Always] {
            assert_eq!(accept.to_string().parse::<Accept>().unwrap(), accept);
            assert_eq!(serde_json::to_value(accept).unwrap(), accept.as_str());
        }
        let error = "never".parse::<Accept>().unwrap_err().to_string();
        assert_eq!(error, "accept: expected improvement or always, got never");
    }
}
