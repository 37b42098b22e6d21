//! Search modes, and the acceptance of new versions.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::error::Error;

/// What a search does with its answers: the paper's method, its baselines, and ablations that each leave one part of
/// it out.
///
/// All but [`Bon`](Self::Bon) draw the same number of answers, N first and N in each iteration, and return the best
/// of all N(D + 1). What they spend on critique differs; [`TpoConfig::requests`](crate::TpoConfig::requests)
/// counts it.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_fn = unknown_mode, parse_err_ty = Error)]
#[non_exhaustive]
pub enum Mode {
    /// Why is the best answer preferred to the worst? The paper's method.
    #[default]
    Tpo,
    /// What is good and bad about the best answer? The paper's "revision" baseline: no rejected answer.
    Revision,
    /// Best of N: no rewriting at all, D = 0.
    Bon,
    /// No critique: each iteration samples N more answers to the query itself, so that it is best of N(D + 1).
    Resample,
    /// No chain rule: the update is asked for from the comparison itself, without a loss and a gradient.
    Direct,
    /// The critique of another query: everything is as in [`Tpo`](Self::Tpo), but loss and gradient in the request
    /// for an update are those that a search of the other query came to in the same iteration. Needs a batch of
    /// two or more different queries, or [`Tpo::align_with`](crate::Tpo::align_with).
    Shuffled,
    /// What makes better answers better, over up to N of the pool with their scores, best to worst, in place of a
    /// pair: [`ListwiseLoss`](textgrad_ops::ListwiseLoss).
    Listwise,
    /// No validation gate: the newest answers are rewritten whatever their scores, as with
    /// [`Acceptance::Always`](crate::Acceptance::Always).
    Ungated,
}

impl Mode {
    /// All of them, in the order in which they are listed for people.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name on the command line and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What the answer that is rewritten is, in words; as the reference implementation has it.
    pub(crate) fn chosen_role(self) -> &'static str {
        match self {
            Self::Revision => "a model response to a user query",
            _ => "a chosen response to a user query",
        }
    }

    /// What a new version must obey.
    pub(crate) fn constraints(self) -> &'static [&'static str] {
        match self {
            Self::Revision => &["Write a response to the user query, nothing else."],
            _ => &[
                "Write a response to the user query that would be chosen.",
                "Do not write a response that would be rejected.",
            ],
        }
    }

    /// Whether a search can continue the policy's own conversation.
    pub(crate) fn can_continue(self) -> bool {
        !matches!(self, Self::Direct | Self::Shuffled | Self::Listwise)
    }
}

fn unknown_mode(text: &str) -> Error {
    let expected = "tpo, revision, bon, resample, direct, shuffled, listwise or ungated";
    Error::config("mode", expected, text)
}

/// The answers that may be rewritten. In either case every answer stays in the pool, and the best of all is
/// returned.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_fn = unknown_acceptance, parse_err_ty = Error)]
pub enum Acceptance {
    /// Those that the scores speak for: a new version takes an older one's place only if it is better. The
    /// paper's method.
    #[default]
    Improvement,
    /// The newest, whatever their scores: without the reward model as a gate between iterations.
    Always,
}

impl Acceptance {
    /// The name on the command line and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_acceptance(text: &str) -> Error {
    Error::config("accept", "improvement or always", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for mode in Mode::ALL.iter().copied() {
            assert_eq!(mode.as_str().parse::<Mode>().unwrap(), mode);
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        let error = "best".parse::<Mode>().unwrap_err().to_string();
        for mode in Mode::ALL.iter().copied() {
            assert!(error.contains(mode.as_str()), "{error}");
        }
    }

    #[test]
    fn names_go_both_ways_and_are_those_of_files() {
        for accept in [Acceptance::Improvement, Acceptance::Always] {
            assert_eq!(accept.to_string().parse::<Acceptance>().unwrap(), accept);
            assert_eq!(serde_json::to_value(accept).unwrap(), accept.as_str());
        }
        let error = "never".parse::<Acceptance>().unwrap_err().to_string();
        assert_eq!(error, "accept: expected improvement or always, got never");
    }
}
