//! The journal of one query.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use textgrad_core::{EngineError, ErrorKind, Purpose, Response};
use textgrad_ops::util::jsonl::Writer;

use super::Record;
use super::StepKey;

/// The recorded steps of one query, and the writer of new ones.
pub(crate) struct QueryJournal {
    query: usize,
    writer: Option<Writer>,
    recorded: Mutex<RecordedSteps>,
}

/// The same request made twice has two entries, in order.
#[derive(Default)]
struct RecordedSteps {
    calls: HashMap<StepKey, VecDeque<Result<Response, String>>>,
    /// The parts of calls that are not complete, by call and part.
    choices: HashMap<StepKey, HashMap<StepKey, Response>>,
    scores: HashMap<StepKey, f64>,
}

impl QueryJournal {
    pub(super) fn new(query: usize, writer: Option<Writer>, records: Vec<Record>) -> Self {
        let mut recorded = RecordedSteps::default();
        for record in records {
            match record {
                Record::Call { key, response, .. } => {
                    let key = StepKey::from_text(key);
                    recorded.choices.remove(&key);
                    recorded.calls.entry(key).or_default().push_back(Ok(response));
                }
                Record::Choice { call, key, response, .. } => {
                    let parts = recorded.choices.entry(StepKey::from_text(call)).or_default();
                    parts.insert(StepKey::from_text(key), response);
                }
                Record::Score { key, score, .. } => {
                    recorded.scores.insert(StepKey::from_text(key), score);
                }
                Record::Failed { key, message, .. } => {
                    let calls = recorded.calls.entry(StepKey::from_text(key)).or_default();
                    calls.push_back(Err(message));
                }
                Record::Run { .. } | Record::Extended { .. } => {}
            }
        }
        Self { query, writer, recorded: Mutex::new(recorded) }
    }

    pub(crate) fn recall_call(&self, key: &StepKey) -> Option<Result<Response, EngineError>> {
        let recalled = self.recorded().calls.get_mut(key)?.pop_front()?;
        Some(recalled.map_err(|message| EngineError::new(ErrorKind::Other, message)))
    }

    /// A part of a call that is not complete.
    pub(crate) fn recall_choice(&self, call: &StepKey, key: &StepKey) -> Option<Response> {
        self.recorded().choices.get(call)?.get(key).cloned()
    }

    pub(crate) fn recall_score(&self, key: &StepKey) -> Option<f64> {
        self.recorded().scores.get(key).copied()
    }

    fn recorded(&self) -> MutexGuard<'_, RecordedSteps> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing more can be written, if that is so.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.writer.as_ref()?.failure()
    }

    async fn write(&self, record: &Record) -> Result<(), String> {
        match &self.writer {
            Some(writer) => writer.write(record).await.map_err(|error| error.to_string()),
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
        self.write(&record).await?;
        self.recorded().choices.remove(key);
        Ok(())
    }

    pub(crate) async fn write_choice(
        &self,
        call: &StepKey,
        key: &StepKey,
        response: &Response,
    ) -> Result<(), String> {
        let (call, key) = (call.as_str().to_owned(), key.as_str().to_owned());
        self.write(&Record::Choice { query: self.query, call, key, response: response.clone() })
            .await
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
