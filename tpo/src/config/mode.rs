//! Which objective drives a search.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Which objective drives a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Why is the best answer preferred to the worst? The paper's method.
    #[default]
    Tpo,
    /// What is good and bad about the best answer? The paper's "revision" baseline: no rejected answer.
    Revision,
    /// Best of N: no rewriting at all, D = 0.
    Bon,
}

impl Mode {
    /// The name on the command line and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tpo => "tpo",
            Self::Revision => "revision",
            Self::Bon => "bon",
        }
    }

    /// What the answer that is rewritten is, in words; as the reference implementation has it.
    pub(crate) fn chosen_role(self) -> &'static str {
        match self {
            Self::Tpo | Self::Bon => "a chosen response to a user query",
            Self::Revision => "a model response to a user query",
        }
    }

    /// What a new version must obey.
    pub(crate) fn constraints(self) -> &'static [&'static str] {
        match self {
            Self::Tpo | Self::Bon => &[
                "Write a response to the user query that would be chosen.",
                "Do not write a response that would be rejected.",
            ],
            Self::Revision => &["Write a response to the user query, nothing else."],
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Tpo, Self::Revision, Self::Bon]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| Error::Config {
                setting: "mode",
                expected: "tpo, revision or bon",
                got: text.to_owned(),
            })
    }
}
