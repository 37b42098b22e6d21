//! The part of a journal that is about one query.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use textgrad_core::{EngineError, ErrorKind, Purpose, Response};

use super::Record;
use super::StepKey;
use super::writer::Writer;

/// What is known about one query, and where new steps are written.
pub(crate) struct QueryJournal {
    query: usize,
    writer: Option<Writer>,
    known: Mutex<Known>,
}

/// Steps of the past. The same question asked twice has two entries, in order.
#[derive(Default)]
struct Known {
    calls: HashMap<StepKey, VecDeque<Result<Response, String>>>,
    scores: HashMap<StepKey, f64>,
}

impl QueryJournal {
    pub(super) fn new(query: usize, writer: Option<Writer>, records: Vec<Record>) -> Self {
        let mut known = Known::default();
        for record in records {
            match record {
                Record::Call { key, response, .. } => {
                    known.calls.entry(StepKey::from_text(key)).or_default().push_back(Ok(response));
                }
                Record::Score { key, score, .. } => {
                    known.scores.insert(StepKey::from_text(key), score);
                }
                Record::Failed { key, message, .. } => {
                    let calls = known.calls.entry(StepKey::from_text(key)).or_default();
                    calls.push_back(Err(message));
                }
                Record::Run { .. } | Record::Extended { .. } => {}
            }
        }
        Self { query, writer, known: Mutex::new(known) }
    }

    pub(crate) fn recall_call(&self, key: &StepKey) -> Option<Result<Response, EngineError>> {
        let recalled = self.known().calls.get_mut(key)?.pop_front()?;
        Some(recalled.map_err(|message| EngineError::new(ErrorKind::Other, message)))
    }

    pub(crate) fn recall_score(&self, key: &StepKey) -> Option<f64> {
        self.known().scores.get(key).copied()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing more can be written, if that is so.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.writer.as_ref()?.failure()
    }

    async fn write(&self, record: &Record) -> Result<(), String> {
        match &self.writer {
            Some(writer) => writer.write(record).await,
            None => Err("it is only read".to_owned()),
        }
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
        self.write(&record).await
    }

    pub(crate) async fn write_score(
        &self,
        key: &StepKey,
        score: f64,
        took: Duration,
    ) -> Result<(), String> {
        let key = key.as_str().to_owned();
        self.write(&Record::Score { query: self.query, key, score, ms: millis(took) }).await
    }

    pub(crate) async fn write_failed(&self, key: &StepKey, message: String) -> Result<(), String> {
        let key = key.as_str().to_owned();
        self.write(&Record::Failed { query: self.query, key, message }).await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
