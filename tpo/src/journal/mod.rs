//! The journal of a run: one line for every finished step, written before the step counts.
//!
//! A run that was killed is continued by running it again with its journal: the search takes the same way,
//! for all its seeds follow from positions, and every step that is in the journal is answered from there. Nothing
//! that was paid for is asked again.
//!
//! # Format, version 2
//! JSON, one object a line, distinguished by `type`:
//! * `run`, the first line: `schema` (2) and `config`, the settings that the results depend on;
//! * `extended`: `config`, the settings from there on, of a run that was given more iterations or more queries;
//! * `call`: `query` (its index, from 0), `purpose`, `key` (the request), `response`, `ms` (how long it took);
//! * `choice`: `query`, `call` (the key of the call), `key` (the choice), `response`: a part of a call that several
//!   requests answer, written as soon as it is delivered. The call's own record, which follows once all parts are
//!   there, has them all. A resumed call asks only for the parts that it lacks;
//! * `score`: `query`, `key`, `score`, `ms`;
//! * `failed`: `query`, `key`, `kind`, `message`: a call that failed for good and that the search went on without. A
//!   call whose failure ended the search is not written, and is made again on resume;
//! * `delivered`: `query`, `log` (which of its logs at the queue), `redelivered`, `asked_again`: a query that was given
//!   to more than one worker, and how many steps were asked for again. Its searches at a queue are no different;
//! * `finished`: `query`, `line_crc` (of its line in `results.jsonl`): a search that came to its end. A resumed run
//!   takes the line from that file if it is there, and only else repeats the search from its steps.
//!
//! Every line ends with `crc`, the [checksum](textgrad_ops::util::jsonl#checksums) of its other bytes.
//!
//! A last line without its newline is the trace of a process that was killed while it wrote: it is cut off
//! when the journal is opened again. A line whose checksum does not match is damaged: a warning names it, its step
//! is requested again, and `dropped` (`lines`, their numbers) says that this was done. Anything else that cannot be
//! read is an error that names the line.

mod file;
mod record;
mod steps;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
#[cfg(feature = "tokenizer")]
use sha2::{Digest, Sha256};
use textgrad_core::{EngineError, Request, Response};
use textgrad_ops::layer::ChoicePart;
use textgrad_ops::store::request_key;
pub(crate) use textgrad_ops::util::digest;
#[cfg(feature = "tokenizer")]
use textgrad_ops::util::hex;
use textgrad_ops::util::jsonl::Writer;

pub use self::file::Journal;
pub(crate) use self::file::{FinishedQueries, Scan, read, scan};
pub use self::record::Record;
pub(crate) use self::record::{NewRecord, RecordHead};
use crate::query::Query;

/// The name of the file in the folder of a run.
pub(crate) const FILE: &str = "journal.jsonl";

/// The version of the format that is written.
pub const SCHEMA: u32 = 2;

/// Identifies what a step asked: equal for equal questions, on every machine.
///
/// It is no step number: a resumed run executes the same code and finds each step by its content. Under other
/// settings no key matches, which is why a resume compares the settings first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepKey(String);

impl StepKey {
    pub(crate) fn of_call(engine: &str, request: &Request) -> Self {
        Self(request_key(engine, request).to_string())
    }

    /// The key of a part of a request for several choices.
    pub(crate) fn of_choice(engine: &str, request: &Request, part: ChoicePart) -> Self {
        let Self(call) = Self::of_call(engine, request);
        Self(match part {
            ChoicePart::First => format!("{call}#first"),
            ChoicePart::Single(offset) => format!("{call}#{offset}"),
        })
    }

    pub(crate) fn of_score(model: &str, query: &Query, answer: &str) -> Self {
        Self(digest([model, &query.identity(), answer]))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity of a reward model whose scores hold among these answers only.
pub(crate) fn among(model: &str, answers: &[&str]) -> String {
    format!("{model}{}", digest(answers.iter().copied()))
}

/// SHA-256 of what a file holds, in hexadecimal.
#[cfg(feature = "tokenizer")]
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A duration as records have it.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where new steps are written.
#[derive(Clone)]
pub(crate) enum StepSink {
    /// The file of the journal.
    File(Writer),
    /// The log of the query at a queue.
    #[cfg(feature = "queue")]
    Queue(crate::queue::Recorder),
}

/// The recorded steps of one query, and the writer of new ones.
pub(crate) struct QueryJournal {
    query: usize,
    sink: Option<StepSink>,
    recorded: Mutex<RecordedSteps>,
}

/// The same request made twice has two entries, in order.
#[derive(Default)]
struct RecordedSteps {
    calls: HashMap<StepKey, VecDeque<Result<Response, EngineError>>>,
    /// The parts of calls that are not complete, by call and part.
    choices: HashMap<StepKey, HashMap<StepKey, Response>>,
    scores: HashMap<StepKey, f64>,
}

impl QueryJournal {
    pub(crate) fn new(query: usize, sink: Option<StepSink>, records: Vec<Record>) -> Self {
        let mut recorded = RecordedSteps::default();
        for record in records {
            match record {
                Record::Call { key, response, .. } => {
                    recorded.choices.remove(&key);
                    recorded.calls.entry(key).or_default().push_back(Ok(response));
                }
                Record::Choice { call, key, response, .. } => {
                    recorded.choices.entry(call).or_default().insert(key, response);
                }
                Record::Score { key, score, .. } => {
                    recorded.scores.insert(key, score);
                }
                Record::Failed { key, kind, message, .. } => {
                    let error = EngineError::new(kind, message);
                    recorded.calls.entry(key).or_default().push_back(Err(error));
                }
                Record::Run { .. }
                | Record::Extended { .. }
                | Record::Dropped { .. }
                | Record::Delivered { .. }
                | Record::Finished { .. } => {}
            }
        }
        Self { query, sink, recorded: Mutex::new(recorded) }
    }

    /// The recorded outcome of a call: its response, or a failure that the search went on after.
    pub(crate) fn recall_call(&self, key: &StepKey) -> Option<Result<Response, EngineError>> {
        self.recorded.lock().calls.get_mut(key)?.pop_front()
    }

    /// A part of a call that is not complete. Its key is made only where the call has parts: it is a hash over the
    /// whole request.
    pub(crate) fn recall_choice(
        &self,
        call: &StepKey,
        key: impl FnOnce() -> StepKey,
    ) -> Option<Response> {
        self.recorded.lock().choices.get(call)?.get(&key()).cloned()
    }

    pub(crate) fn recall_score(&self, key: &StepKey) -> Option<f64> {
        self.recorded.lock().scores.get(key).copied()
    }

    /// Why nothing more can be written, if that is so.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self.sink.as_ref()? {
            StepSink::File(writer) => writer.failure(),
            #[cfg(feature = "queue")]
            StepSink::Queue(recorder) => recorder.reason(),
        }
    }

    /// Notes that steps are about to be asked for, where others may take over this search.
    pub(crate) async fn ask(&self, keys: &[&StepKey]) -> Result<(), String> {
        match &self.sink {
            #[cfg(feature = "queue")]
            Some(StepSink::Queue(recorder)) => {
                let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
                recorder.ask(&keys).await
            }
            _ => {
                let _ = keys;
                Ok(())
            }
        }
    }

    /// Writes steps of the query with this index, all of them at once.
    pub(crate) async fn write<'a>(
        &self,
        steps: impl FnOnce(usize) -> Vec<NewRecord<'a>>,
    ) -> Result<(), String> {
        let records = steps(self.query);
        match &self.sink {
            Some(StepSink::File(writer)) => {
                writer.write_all(&records).map_err(|error| error.to_string())?;
            }
            #[cfg(feature = "queue")]
            Some(StepSink::Queue(recorder)) => {
                let lines = records.iter().map(textgrad_ops::util::jsonl::line_with_checksum);
                let lines: Result<String, _> = lines.collect();
                let lines = lines.map_err(|error| error.to_string())?;
                recorder.record(lines.into_bytes()).await?;
            }
            None => return Err("it is only read".to_owned()),
        }
        for record in &records {
            if let Record::Call { key, .. } = record {
                self.recorded.lock().choices.remove(key);
            }
        }
        Ok(())
    }
}
