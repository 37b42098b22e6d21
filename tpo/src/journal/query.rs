//! The part of a journal that is about one query.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use textgrad_core::{Purpose, Response};

use super::key::StepKey;
use super::record::Record;
use super::writer::Writer;

/// What is known about one query, and where new steps are written.
pub(crate) struct QueryJournal {
    query: usize,
    writer: Writer,
    known: Mutex<Known>,
}

/// Steps of the past. The same question asked twice has two entries, in order.
#[derive(Default)]
struct Known {
    calls: HashMap<StepKey, VecDeque<Response>>,
    scores: HashMap<StepKey, VecDeque<Vec<f64>>>,
}

impl QueryJournal {
    pub(super) fn new(query: usize, writer: Writer, records: Vec<Record>) -> Self {
        let mut known = Known::default();
        for record in records {
            match record {
                Record::Call { key, response, .. } => {
                    known.calls.entry(StepKey::from_text(key)).or_default().push_back(response);
                }
                Record::Scores { key, scores, .. } => {
                    known.scores.entry(StepKey::from_text(key)).or_default().push_back(scores);
                }
                Record::Run { .. } => {}
            }
        }
        Self { query, writer, known: Mutex::new(known) }
    }

    pub(crate) fn recall_call(&self, key: &StepKey) -> Option<Response> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.calls.get_mut(key)?.pop_front()
    }

    pub(crate) fn recall_scores(&self, key: &StepKey) -> Option<Vec<f64>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.scores.get_mut(key)?.pop_front()
    }

    pub(crate) async fn write_call(
        &self,
        key: &StepKey,
        purpose: Purpose,
        response: &Response,
        took: Duration,
    ) -> Result<(), String> {
        let record = Record::Call {
            query: self.query,
            purpose,
            key: key.as_str().to_owned(),
            response: response.clone(),
            ms: millis(took),
        };
        self.writer.write(&record).await
    }

    pub(crate) async fn write_scores(
        &self,
        key: &StepKey,
        scores: &[f64],
        took: Duration,
    ) -> Result<(), String> {
        let record = Record::Scores {
            query: self.query,
            key: key.as_str().to_owned(),
            scores: scores.to_vec(),
            ms: millis(took),
        };
        self.writer.write(&record).await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
