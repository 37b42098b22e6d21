//! Queries whose answers all have the same score.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::query::Query;

/// How many different answers to a query must have the same score for the query to count.
const ANSWERS: usize = 3;

/// How many such queries in a row are told of.
const QUERIES: usize = 20;

/// How many queries are remembered: more than a run has under way at the same time.
const REMEMBERED: usize = 1024;

/// Counts queries in a row whose answers all have the same score, whatever it is.
#[derive(Debug, Default)]
pub(super) struct Alike {
    queries: VecDeque<Seen>,
    in_a_row: usize,
}

/// What was seen of a query; texts by their hashes.
#[derive(Debug)]
struct Seen {
    query: u64,
    answers: Vec<u64>,
    score: f64,
    /// Whether another score was seen too.
    differs: bool,
}

impl Alike {
    /// How many there are in a row, if there are enough.
    pub(super) fn look_at(
        &mut self,
        query: &Query,
        answer: &str,
        score: f64,
        grain: f64,
    ) -> Option<usize> {
        let (query, answer) = (hash(&query.identity()), hash(answer));
        // Those under way are the newest.
        let Some(seen) = self.queries.iter_mut().rev().find(|seen| seen.query == query) else {
            if self.queries.len() == REMEMBERED {
                self.queries.pop_front();
            }
            self.queries.push_back(Seen { query, answers: vec![answer], score, differs: false });
            return None;
        };
        // Scored anew: where scores are relative, it is worth something else now.
        if seen.differs || seen.answers.contains(&answer) {
            return None;
        }
        if (seen.score - score).abs() > grain {
            seen.differs = true;
            self.in_a_row = 0;
            return None;
        }
        if seen.answers.len() >= ANSWERS {
            return None;
        }
        seen.answers.push(answer);
        if seen.answers.len() < ANSWERS {
            return None;
        }
        self.in_a_row += 1;
        (self.in_a_row >= QUERIES).then_some(self.in_a_row)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
