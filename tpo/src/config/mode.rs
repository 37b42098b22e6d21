//! Search modes, and the acceptance of new versions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::TpoConfig;
use crate::error::Error;
use crate::search::methods::{
    DraftDistilRefine, FeedbackDescent, Fuse, Resample, Rsa, SelfAttention, Tournament, Vote,
};
use crate::search::{
    Adapted, Adaption, BorrowedCritique, ListwiseCritique, Method, PairSelection, Rewrite,
    TemplateCritique,
};

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
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_fn = unknown_mode, parse_err_ty = Error)]
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
    /// No critique at all: the request for an update says nothing but that the answer is to be improved. A control.
    Improve,
    /// The paper's method as if the worst score were the best: it rewrites the worst answer against the best. A
    /// control; the answer with the highest score is returned nevertheless.
    Reversed,
    /// The paper's method with pairs by scores drawn at random, by seed and text. A control; the answer with the
    /// highest score is returned nevertheless.
    Random,
    /// Recursive self-aggregation: [`Rsa`].
    Rsa,
    /// Mixture of agents by one model: [`Fuse`].
    Fuse,
    /// Textual self-attention: [`SelfAttention`].
    Tsan,
    /// Parallel drafts, distilled and refined: [`DraftDistilRefine`].
    Pdr,
    /// A pairwise knock-out by the critic: [`Tournament`].
    Tournament,
    /// A champion, a pairwise judge and its rationales: [`FeedbackDescent`].
    FeedbackDescent,
    /// Self-consistency, for answers with a short conclusion: [`Vote`].
    Vote,
    /// A [method](crate::search::Method) that was given to [the builder](crate::TpoBuilder::method).
    Own,
}

impl Mode {
    /// All of this crate, in the order in which they are listed for people.
    pub const ALL: &'static [Self] = match Self::VARIANTS {
        [all @ .., Self::Own] => all,
        all => all,
    };

    /// The name on the command line and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Its method, with the selection of pairs where it has one.
    pub(crate) fn method(
        self,
        config: &TpoConfig,
        pairs: Arc<dyn PairSelection>,
    ) -> Arc<dyn Method> {
        let adapted = |how| Arc::new(Adapted { inner: Arc::clone(&pairs), how });
        let rewrite = Rewrite::default();
        let alone = || Rewrite::default().pairs(adapted(Adaption::Alone));
        match self {
            Self::Bon | Self::Resample => Arc::new(Resample),
            Self::Tpo | Self::Ungated | Self::Own => Arc::new(rewrite.pairs(pairs)),
            Self::Revision => Arc::new(alone()),
            Self::Direct => {
                Arc::new(rewrite.pairs(pairs).critique(Arc::new(TemplateCritique::DIRECT)))
            }
            Self::Improve => Arc::new(alone().critique(Arc::new(TemplateCritique::IMPROVE))),
            Self::Shuffled => Arc::new(rewrite.pairs(pairs).critique(Arc::new(BorrowedCritique))),
            Self::Listwise => {
                let pairs = adapted(Adaption::Ranked(config.samples));
                Arc::new(rewrite.pairs(pairs).critique(Arc::new(ListwiseCritique)))
            }
            Self::Rsa => Arc::new(Rsa),
            Self::Fuse => Arc::new(Fuse),
            Self::Tsan => Arc::new(SelfAttention),
            Self::Pdr => Arc::new(DraftDistilRefine),
            Self::Tournament => Arc::new(Tournament),
            Self::FeedbackDescent => Arc::new(FeedbackDescent),
            Self::Vote => Arc::new(Vote),
            Self::Reversed => Arc::new(rewrite.pairs(adapted(Adaption::Reversed))),
            Self::Random => Arc::new(rewrite.pairs(adapted(Adaption::Random(config.seed)))),
        }
    }

    /// Whether [pairs](TpoConfig::pairs) are selected in it.
    #[must_use]
    pub fn has_pairs(self) -> bool {
        use Mode::{Bon, Fuse, Pdr, Resample, Rsa, Tournament, Tsan, Vote};
        let selects_none =
            matches!(self, Bon | Fuse | Pdr | Resample | Rsa | Tournament | Tsan | Vote);
        !selects_none && self != Self::FeedbackDescent
    }

    /// Whether a chosen answer is rewritten in it, [by edits](TpoConfig::edits) or whole.
    #[must_use]
    pub fn has_updates(self) -> bool {
        self.has_pairs() || self == Self::FeedbackDescent
    }

    /// Whether it words requests of its own, beside those of samples and judges: losses, gradients, updates, notes.
    #[must_use]
    pub fn has_wording(self) -> bool {
        !matches!(self, Self::Bon | Self::Resample | Self::Tournament | Self::Vote)
    }

    /// Whether the answers of an iteration are samples of the policy; `None` if it cannot be said.
    pub(crate) fn samples(self) -> Option<bool> {
        match self {
            Self::Resample | Self::Tournament | Self::Vote => Some(true),
            Self::Own => None,
            _ => Some(false),
        }
    }

    /// Which answers may be built on: those of the settings, or what the mode says.
    pub(crate) fn pool_policy(self, accept: Acceptance) -> Acceptance {
        if self == Self::Ungated { Acceptance::Always } else { accept }
    }
}

fn unknown_mode(text: &str) -> Error {
    let expected = "tpo, revision, bon, resample, direct, shuffled, listwise, ungated, improve, reversed, random, rsa, \
                    fuse, tsan, pdr, tournament, feedback-descent or vote";
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
