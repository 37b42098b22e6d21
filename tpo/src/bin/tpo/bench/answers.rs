//! Answers of a run to grade.

use tpo::run::{ResultRecord, Status};

/// An answer with its score.
pub(crate) struct Scored {
    pub(crate) text: String,
    pub(crate) score: f64,
}

/// The answers of a query whose search came to its end.
pub(crate) struct Answered {
    /// The place of the query, from 0.
    pub(crate) index: usize,
    pub(crate) best: Scored,
    /// What the policy said first: its answer without any search.
    pub(crate) first: Scored,
    /// The answer with the lowest score.
    pub(crate) worst: Scored,
}

impl Answered {
    /// None for a search that failed: the best that it had is not what it would have come to.
    pub(crate) fn of(record: &ResultRecord) -> Option<Self> {
        if record.status != Status::Ok {
            return None;
        }
        let best = record.best.as_ref()?;
        let candidates = &record.trajectory.candidates;
        let scored = |text: &str, score| Scored { text: text.to_owned(), score };
        let first = candidates.first()?;
        let worst = candidates.iter().min_by(|one, other| one.score.total_cmp(&other.score))?;
        Some(Self {
            index: record.index,
            best: scored(&best.text, best.score),
            first: scored(&first.text, first.score),
            worst: scored(&worst.text, worst.score),
        })
    }

    /// The answers with the records that they are to.
    pub(crate) fn with<'a, T>(answers: &'a [Self], records: &'a [T]) -> Vec<(&'a T, &'a Self)> {
        let pair = |one: &'a Self| records.get(one.index).map(|record| (record, one));
        answers.iter().filter_map(pair).collect()
    }
}
