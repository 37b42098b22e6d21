//! A query that workers search, as its log tells it, and the logs of all queries, read while they grow.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use futures_util::StreamExt;
use serde::de::IgnoredAny;
use textgrad_core::Response;
use textgrad_ops::CancellationToken;

use super::entry::{Assembler, Entry, EntryKind, Line, LogMessage, each_line};
use super::log::{Attempts, LogError, QueueLog};
use crate::journal::{Record, StepKey};
use crate::run::ResultRecord;

/// The header with the sequence of the message before.
const BEFORE: &str = "Nats-Expected-Last-Subject-Sequence";

/// How often the messages of a log may come with a gap.
const MAX_GAPS: u32 = 8;

/// A query that was offered to workers.
#[derive(Default)]
pub(super) struct OpenQuery {
    /// Its position among the queries of this run that are to be searched.
    pub(super) position: usize,
    assembler: Assembler,
    /// The sequence of the last message that was read.
    pub(super) last: u64,
    /// How often the message after it was not the next.
    gaps: u32,
    /// Steps that the journal has already, and how often.
    known: HashMap<StepId, u32>,
    /// The keys of steps that were asked for and are not there.
    asked: HashSet<String>,
    /// When the query was offered or given back, and when the last claim began, in nanoseconds since 1970.
    offered: i128,
    claimed: i128,
    pub(super) worker: Option<String>,
    pub(super) counts: QueryCounts,
}

/// What searching a query took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct QueryCounts {
    /// The sequence of the first message of its log, which no other log has.
    pub(super) log: u64,
    /// Deliveries beyond the first.
    pub(crate) redelivered: u64,
    /// How often a step was asked for again that had been asked for and was not there.
    pub(crate) asked_again: u64,
    /// How long it waited for a worker, in seconds.
    pub(crate) waited_s: f64,
    /// How long the worker that finished it took, in seconds.
    pub(crate) searched_s: f64,
}

/// What distinguishes steps of a query.
pub(super) type StepId = (&'static str, StepKey);

pub(super) fn step_id<R>(record: &Record<R>) -> Option<StepId> {
    Some(match record {
        Record::Call { key, .. } => ("call", key.clone()),
        Record::Choice { key, .. } => ("choice", key.clone()),
        Record::Score { key, .. } => ("score", key.clone()),
        Record::Failed { key, .. } => ("failed", key.clone()),
        _ => return None,
    })
}

/// What a message of a log brings.
pub(super) enum News {
    /// Lines for the journal.
    Steps(Vec<u8>),
    /// The result, and its line.
    Result(Box<ResultRecord>, Vec<u8>),
    /// A message before this one was not delivered: it is to be read again from the last one on.
    Gap,
    Nothing,
}

impl OpenQuery {
    /// A query of which the journal has these steps.
    pub(super) fn new(position: usize, records: &[Record<Response>]) -> Self {
        let mut open = Self { position, ..Self::default() };
        for step in records.iter().filter_map(step_id) {
            *open.known.entry(step).or_default() += 1;
        }
        open
    }

    pub(super) fn read(&mut self, message: &Message) -> Result<News, String> {
        let info = message.info().map_err(|error| error.to_string())?;
        if info.stream_sequence <= self.last {
            return Ok(News::Nothing);
        }
        // Each message names the one before it, as its author knew it.
        let header = message.headers.as_ref().and_then(|headers| headers.get(BEFORE));
        let before: Option<u64> = header.and_then(|before| before.as_str().parse().ok());
        if before != Some(self.last) {
            self.gaps += 1;
            return match self.gaps > MAX_GAPS {
                true => Err(format!("expected message {} of its log, got {before:?}", self.last)),
                false => Ok(News::Gap),
            };
        }
        self.last = info.stream_sequence;
        let entry = self.assembler.push(&LogMessage {
            headers: message.headers.as_ref(),
            sequence: info.stream_sequence,
            time: info.published.unix_timestamp_nanos(),
            body: &message.payload,
        });
        match entry {
            Some(entry) => self.take(entry),
            None => Ok(News::Nothing),
        }
    }

    fn take(&mut self, entry: Entry) -> Result<News, String> {
        let Entry { kind, by, sequence, time, body, .. } = entry;
        match kind {
            EntryKind::Query => {
                self.offered = time;
                self.counts.log = sequence;
            }
            EntryKind::Claim => {
                // A worker that went without a word had the query until now.
                let since = if self.offered > 0 { self.offered } else { time };
                self.counts.waited_s += seconds(time - since);
                self.counts.redelivered += u64::from(self.worker.is_some());
                (self.offered, self.claimed, self.worker) = (0, time, Some(by));
            }
            EntryKind::Release => {
                self.offered = time;
                // Who gives a query back has no call under way: what it did not record it did not ask for.
                self.asked.clear();
            }
            EntryKind::Steps => return self.steps(&body),
            EntryKind::Result => {
                self.counts.searched_s = seconds(time - self.claimed);
                let record = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
                return Ok(News::Result(Box::new(record), body));
            }
        }
        Ok(News::Nothing)
    }

    /// The lines that the journal does not have.
    fn steps(&mut self, lines: &[u8]) -> Result<News, String> {
        let mut new = Vec::with_capacity(lines.len());
        each_line::<IgnoredAny>(lines, |line| match line {
            Line::Asked(key) => {
                self.counts.asked_again += u64::from(!self.asked.insert(key.to_owned()));
            }
            Line::Step(record, line) => {
                let step = step_id(&record);
                if let Some((_, key)) = &step {
                    self.asked.remove(key.as_str());
                }
                match step.and_then(|step| self.known.get_mut(&step)) {
                    Some(times) if *times > 0 => *times -= 1,
                    _ => new.extend_from_slice(line),
                }
            }
        })?;
        Ok(match new.is_empty() {
            true => News::Nothing,
            false => News::Steps(new),
        })
    }
}

fn seconds(nanos: i128) -> f64 {
    nanos.max(0) as f64 / 1e9
}

/// Messages that are asked for at once.
const MOST: usize = 256;
/// How long one request waits for messages.
const WAIT: Duration = Duration::from_millis(500);
/// After so long without a request, the server forgets this reader.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Reads all logs. After a fault it goes on behind the last message that it has returned.
#[derive(Default)]
pub(super) struct Tail {
    /// The sequence of the last message.
    last: u64,
    reader: Option<LogReader>,
}

struct LogReader {
    consumer: PullConsumer,
    /// How many messages it has delivered: one that is missing was lost on its way.
    delivered: u64,
    batch: Option<Batch>,
}

impl Tail {
    /// The next message; none if there is none for a while. Cancel safe: no message is lost.
    pub(super) async fn next(
        &mut self,
        log: &QueueLog,
        stop: &CancellationToken,
    ) -> Result<Option<Message>, LogError> {
        let mut attempts = Attempts::new(log, stop);
        loop {
            let error = match self.read(log).await {
                Ok(message) => return Ok(message),
                Err(error) => error,
            };
            self.reader = None;
            attempts.again(&error).await?;
        }
    }

    /// Goes back behind a message, if it has returned a later one.
    pub(super) fn rewind(&mut self, sequence: u64) {
        if sequence < self.last {
            self.last = sequence;
            self.reader = None;
        }
    }

    async fn read(&mut self, log: &QueueLog) -> Result<Option<Message>, String> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let config = Config {
                    deliver_policy: DeliverPolicy::ByStartSequence {
                        start_sequence: self.last + 1,
                    },
                    ack_policy: AckPolicy::None,
                    filter_subject: log.logs(),
                    inactive_threshold: FORGOTTEN,
                    memory_storage: true,
                    ..Config::default()
                };
                let consumer = log.log_stream().create_consumer(config).await;
                let consumer = consumer.map_err(|error| error.to_string())?;
                self.reader.insert(LogReader { consumer, delivered: 0, batch: None })
            }
        };
        let batch = match &mut reader.batch {
            Some(batch) => batch,
            None => {
                let batch =
                    reader.consumer.batch().max_messages(MOST).expires(WAIT).messages().await;
                reader.batch.insert(batch.map_err(|error| error.to_string())?)
            }
        };
        let Ok(next) = tokio::time::timeout(4 * WAIT, batch.next()).await else {
            return Err("expected a reply of the server, got none".to_owned());
        };
        let Some(message) = next else {
            reader.batch = None;
            return Ok(None);
        };
        let message = message.map_err(|error| error.to_string())?;
        let info = message.info().map_err(|error| error.to_string())?;
        let (delivered, sequence) = (info.consumer_sequence, info.stream_sequence);
        if delivered != reader.delivered + 1 {
            return Err("expected the next message of a log, got a later one".to_owned());
        }
        reader.delivered = delivered;
        self.last = sequence;
        Ok(Some(message))
    }
}
