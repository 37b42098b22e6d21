//! Entries of the log of a query, the messages that carry them, and the steps of a search recorded there.

use std::sync::{Arc, OnceLock};

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use strum::{AsRefStr, EnumString};
use textgrad_core::Response;
use textgrad_ops::CancellationToken;
use textgrad_ops::util::jsonl::Reader;
use tokio::sync::{mpsc, oneshot};

use super::log::{LogError, QueueLog};
use crate::journal::Record;
use crate::query::Query;
use crate::search::DonorQuery;
use crate::util::is_default;

/// The kind of an entry.
pub(super) const KIND: &str = "Tpo-Kind";
/// The process that wrote an entry.
pub(super) const BY: &str = "Tpo-By";
/// What distinguishes a message from all others.
pub(super) const ID: &str = "Tpo-Id";
/// Present where the next message continues the entry.
pub(super) const MORE: &str = "Tpo-More";

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "lowercase")]
pub(super) enum EntryKind {
    /// By the coordinator, first: the query, the steps that the journal has, and those that other runs have.
    Query,
    /// A worker searches the query from here on.
    Claim,
    /// Finished steps, as lines of a journal, and the keys of steps that are about to be asked for, one a line.
    Steps,
    /// The worker stops, and another may go on.
    Release,
    /// The line of results.
    Result,
}

/// An entry of a log.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    pub(super) by: String,
    /// The sequences of its first and its last message.
    pub(super) begin: u64,
    pub(super) sequence: u64,
    /// When the server received it, in nanoseconds since 1970.
    pub(super) time: i128,
    pub(super) body: Vec<u8>,
}

/// A message of a log.
pub(super) struct LogMessage<'a> {
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) sequence: u64,
    pub(super) time: i128,
    pub(super) body: &'a Bytes,
}

/// Puts the messages of one log together to entries.
#[derive(Debug, Default)]
pub(super) struct Assembler(Option<Entry>);

impl Assembler {
    /// Takes the next message; returns the entry that it ends. A message without the headers of one is passed over.
    pub(super) fn push(&mut self, message: &LogMessage<'_>) -> Option<Entry> {
        let header = |name| Some(message.headers?.get(name)?.as_str());
        let (kind, by) = (header(KIND)?.parse::<EntryKind>().ok()?, header(BY)?.to_owned());
        let mut entry = match self.0.take() {
            // A process that was killed in the middle of an entry has left its beginning.
            Some(begun) if begun.kind == kind && begun.by == by => begun,
            _ => {
                let (begin, sequence, time) = (message.sequence, message.sequence, message.time);
                Entry { kind, by, begin, sequence, time, body: Vec::new() }
            }
        };
        entry.sequence = message.sequence;
        entry.body.extend_from_slice(message.body);
        if header(MORE).is_none() {
            return Some(entry);
        }
        self.0 = Some(entry);
        None
    }
}

/// The first line of the entry of a query. Lines of the journal follow.
#[derive(Serialize, Deserialize)]
pub(super) struct QueryHead {
    pub(super) query: Query,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) fields: Map<String, Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) donor: Option<DonorQuery>,
    /// How many of the lines are steps of other runs, at the end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) shared: usize,
}

/// What a worker reads from the log of a query.
pub(super) struct ReadQuery {
    pub(super) query: Query,
    pub(super) donor: Option<DonorQuery>,
    /// The steps that are known.
    pub(super) records: Vec<Record>,
    /// Steps of other runs.
    pub(super) shared: Vec<Record>,
    /// Deliveries since the last step, without those that a worker gave back.
    pub(super) fruitless: u32,
    /// Whether its result is there.
    pub(super) is_done: bool,
}

impl ReadQuery {
    /// Reads a log; none if it does not begin with a query, as that of a finished query.
    pub(super) fn of(entries: &[Entry]) -> Result<Option<Self>, String> {
        let Some((first, rest)) = entries.split_first() else { return Ok(None) };
        if first.kind != EntryKind::Query {
            return Ok(None);
        }
        let end = first.body.iter().position(|byte| *byte == b'\n').unwrap_or(first.body.len());
        let (head, steps) = first.body.split_at(end);
        let head: QueryHead = serde_json::from_slice(head).map_err(|error| error.to_string())?;
        let mut read = Self {
            query: head.query.with_fields(head.fields),
            donor: head.donor,
            records: Vec::new(),
            shared: Vec::new(),
            fruitless: 0,
            is_done: false,
        };
        read.add(steps.strip_prefix(b"\n").unwrap_or(steps))?;
        read.shared = read.records.split_off(read.records.len().saturating_sub(head.shared));
        for entry in rest {
            match entry.kind {
                EntryKind::Claim => read.fruitless += 1,
                EntryKind::Release => read.fruitless = read.fruitless.saturating_sub(1),
                EntryKind::Steps if read.add(&entry.body)? => read.fruitless = 0,
                EntryKind::Result => read.is_done = true,
                EntryKind::Query | EntryKind::Steps => {}
            }
        }
        Ok(Some(read))
    }

    /// Adds finished steps; returns whether there are any.
    fn add(&mut self, lines: &[u8]) -> Result<bool, String> {
        let before = self.records.len();
        each_line::<Response>(lines, |line| {
            if let Line::Step(record, _) = line {
                self.records.push(record);
            }
        })?;
        Ok(self.records.len() > before)
    }
}

/// A line of steps.
pub(super) enum Line<'a, R> {
    /// A finished step.
    Step(Record<R>, &'a [u8]),
    /// The key of a step that is about to be asked for.
    Asked(&'a str),
}

/// Reads the lines of steps.
pub(super) fn each_line<R: serde::de::DeserializeOwned>(
    lines: &[u8],
    mut visit: impl FnMut(Line<'_, R>),
) -> Result<(), String> {
    let mut reader = Reader::new(lines);
    while let Some(line) = reader.next_line().map_err(|error| error.to_string())? {
        if !line.bytes.starts_with(b"{") {
            let key = std::str::from_utf8(line.bytes).map_err(|error| error.to_string())?;
            visit(Line::Asked(key.trim_end()));
            continue;
        }
        match Record::<R>::parse(&line) {
            Ok(Some(record)) => visit(Line::Step(record, line.bytes)),
            Ok(None) => return Err("a step does not match its checksum".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
    match reader.torn() {
        None => Ok(()),
        Some(_) => Err("a step has no end".to_owned()),
    }
}

/// Entries that wait to be added to a log at most; then who adds one waits.
const MAX_WAITING: usize = 64;

/// Adds entries to the log of a query that this worker has claimed, one after the other. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    entries: mpsc::Sender<NewEntry>,
    failure: Arc<OnceLock<LogError>>,
}

struct NewEntry {
    kind: EntryKind,
    body: Vec<u8>,
    /// Who waits until the server has it.
    added: Option<oneshot::Sender<()>>,
}

impl Recorder {
    /// Begins behind the message with the sequence `last`. An entry that was handed over is added even if nobody waits
    /// for it any more.
    pub(super) fn start(
        log: Arc<QueueLog>,
        subject: String,
        mut last: u64,
        stop: CancellationToken,
    ) -> Self {
        let (entries, mut received) = mpsc::channel::<NewEntry>(MAX_WAITING);
        let failure = Arc::new(OnceLock::new());
        let failed = Arc::clone(&failure);
        tokio::spawn(async move {
            let mut next = None;
            loop {
                let NewEntry { kind, mut body, added } = match next.take() {
                    Some(next) => next,
                    None => match received.recv().await {
                        Some(next) => {
                            // What a finished step leads to goes with it.
                            tokio::task::yield_now().await;
                            next
                        }
                        None => return,
                    },
                };
                let mut all = vec![added];
                // What waited in the meantime goes with it.
                while let Ok(more) = received.try_recv() {
                    if more.kind != kind {
                        next = Some(more);
                        break;
                    }
                    body.extend_from_slice(&more.body);
                    all.push(more.added);
                }
                match log.append(&subject, last, kind, body, &stop).await {
                    Ok(sequence) => last = sequence,
                    Err(error) => {
                        failed.get_or_init(|| error);
                        return;
                    }
                }
                // Whoever is not there any more needs no answer.
                for added in all.into_iter().flatten() {
                    let _ = added.send(());
                }
            }
        });
        Self { entries, failure }
    }

    /// Adds an entry, and waits until the server has it and all before it.
    pub(super) async fn add(&self, kind: EntryKind, body: Vec<u8>) -> Result<(), String> {
        let (added, is_added) = oneshot::channel();
        self.send(NewEntry { kind, body, added: Some(added) }).await?;
        is_added.await.map_err(|_| self.why())
    }

    /// Adds finished steps, as lines of a journal. Does not wait for the server: what follows from them does.
    pub(crate) async fn record(&self, lines: Vec<u8>) -> Result<(), String> {
        self.send(NewEntry { kind: EntryKind::Steps, body: lines, added: None }).await
    }

    /// Notes the keys of steps that are about to be asked for: if they stand there twice, they may be paid for twice.
    /// Waits until the server has them and all finished steps.
    pub(crate) async fn ask(&self, keys: &[&str]) -> Result<(), String> {
        let lines: String = keys.iter().flat_map(|key| [key, "\n"]).collect();
        self.add(EntryKind::Steps, lines.into_bytes()).await
    }

    async fn send(&self, entry: NewEntry) -> Result<(), String> {
        self.entries.send(entry).await.map_err(|_| self.why())
    }

    fn why(&self) -> String {
        self.reason().unwrap_or("the queue is closed").to_owned()
    }

    /// Why nothing can be added any more.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        Some(match self.failure.get()? {
            LogError::Fenced => "the query was given to another worker",
            LogError::Gone => "the run is over",
            LogError::Stopped => "the worker was stopped",
        })
    }

    /// Whether another worker has the query.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(self.failure.get(), Some(LogError::Fenced))
    }
}
