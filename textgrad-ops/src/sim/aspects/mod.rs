//! The table of what an answer may have: virtues that a query calls for, and flaws.
//!
//! One row serves everybody: the policy and the updater write its `wordings`, the reward and the critic find
//! its `cues`, the critic and the gradient speak of it by its `names`, and whoever reads a critique or an
//! instruction knows it by its `mentions`. A new aspect is one new row.

mod flaws;
mod virtues;

/// Whether an aspect speaks for an answer or against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Wanted by any query, or only by one with a trigger.
    Virtue {
        /// Whether queries without a trigger call for it too.
        always: bool,
    },
    /// Never wanted.
    Flaw,
    /// A flaw of the text as a whole: too many words.
    Length,
}

/// A row of the table. Cues, triggers and mentions are phrases of lower-case words; `#` is any number.
#[derive(Debug)]
pub(crate) struct Aspect {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Its share in the reward.
    pub(crate) weight: f64,
    /// Where in an answer it stands, from 0 (first) to 9 (last).
    pub(crate) place: u8,
    /// Phrases in a query that call for it.
    pub(crate) triggers: &'static [&'static str],
    /// Sentences that have it; `{topic}` stands for the topic of the query.
    pub(crate) wordings: &'static [&'static str],
    /// Phrases in a sentence that show it.
    pub(crate) cues: &'static [&'static str],
    /// What it is called in a critique.
    pub(crate) names: &'static [&'static str],
    /// Instructions to add it or, if it is a flaw, to remove it.
    pub(crate) instructions: &'static [&'static str],
    /// Phrases by which a critique or an instruction speaks of it.
    pub(crate) mentions: &'static [&'static str],
}

impl Aspect {
    pub(crate) fn is_virtue(&self) -> bool {
        matches!(self.kind, Kind::Virtue { .. })
    }
}

/// The rows of the table with their indices. At most 32: sets of them are bits.
pub(crate) fn rows() -> impl Iterator<Item = (usize, &'static Aspect)> {
    virtues::ROWS.iter().chain(flaws::ROWS).enumerate()
}
