//! The coordinator: offers the queries of a run to workers, and writes down what they find.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use derive_setters::Setters;
use futures_util::future::join_all;
use textgrad_ops::util::jsonl::line_with_checksum;

use super::address::QueueAddress;
use super::entry::{EntryKind, QueryHead};
use super::held::{HeldQueue, Lease, StudyRun, failed, refused};
use super::log::{LogError, QueueLog};
use super::open::{News, OpenQuery, StepId, Tail, step_id};
use crate::batch::Batch;
use crate::error::Error;
use crate::journal::{Journal, NewRecord, Record};
use crate::run::{ResultRecord, Status};
use crate::summary::QueueSummary;

/// Finished queries that wait for older ones at most: they are in memory.
const MAX_WAITING: usize = 1024;
/// How long it is silent at most before logs are read again.
const SILENCE: Duration = Duration::from_secs(30);
/// How long an offer may take before other things are done, and how long those are done before the next.
const PAUSE: Duration = Duration::from_secs(2);
/// How often workers are counted at most.
const COUNT: Duration = Duration::from_millis(200);
/// Requests to the server at the same time.
const AT_ONCE: usize = 64;

/// How a run is searched by workers.
#[derive(Debug, Clone, Setters)]
#[must_use]
#[setters(generate = false)]
pub struct QueueOptions {
    pub(super) address: QueueAddress,
    /// How long after its last sign of life a worker's queries are given to others. Default: 30 seconds.
    #[setters(generate)]
    pub(super) ack_wait: Duration,
    pub(super) study: Option<StudyRun>,
    /// The folders of runs with the same queries, whose steps answer equal requests of this one. Default: none.
    #[setters(generate)]
    pub(super) others: Vec<PathBuf>,
}

impl QueueOptions {
    /// Workers that join at this address.
    pub fn new(address: QueueAddress) -> Self {
        let ack_wait = Duration::from_secs(30);
        Self { address, ack_wait, study: None, others: Vec::new() }
    }

    /// The run is one of a study of this name. Workers wait for the next one if another follows at this address, and
    /// the next one takes the place of this one there.
    pub fn study(mut self, study: impl Into<String>, is_followed: bool) -> Self {
        self.study = Some(StudyRun { study: study.into(), is_followed });
        self
    }
}

/// The queries of a run at a queue; their results come in the order of the queries.
pub(crate) struct Coordinator {
    /// What is searched; not by this process.
    batch: Batch,
    journal: Journal,
    others: Vec<Journal>,
    log: Arc<QueueLog>,
    lease: Lease,
    tail: Tail,
    open: HashMap<usize, OpenQuery>,
    /// When workers were last counted.
    counted: Instant,
    /// Results by position.
    done: BTreeMap<usize, (ResultRecord, Vec<u8>)>,
    /// Queries whose results were handed out, and so are written.
    written: Vec<usize>,
    started: usize,
    /// Positions before `started` that the server did not take yet, and when that was last so.
    postponed: Vec<usize>,
    paused: Instant,
    handed_out: usize,
    /// Whether another run of the study follows, in the same streams.
    is_followed: bool,
    /// When the last message of an open query came.
    news: Instant,
    summary: QueueSummary,
}

impl Coordinator {
    /// Begins or continues a run at its queue.
    ///
    /// # Errors
    /// [`Error::Queue`] if the server cannot be used; a setting if the run has no folder.
    pub(crate) async fn begin(queue: HeldQueue, batch: Batch) -> Result<Self, Error> {
        let HeldQueue { log, lease, run, announced, others } = queue;
        let Some(journal) = batch.journal.clone() else {
            return Err(Error::config("out", "a directory of the run beside a queue", "none"));
        };
        let is_followed = run.study.as_ref().is_some_and(|run| run.is_followed);
        let run = serde_json::to_vec(&run).map_err(Error::journal_write)?;
        let announced = log.replace(&log.subject("run"), announced, run, &batch.cancellation).await;
        announced.map_err(|error| failed(&log, &error))?;
        batch.progress.set_workers(0);
        Ok(Self {
            summary: QueueSummary::of(journal.deliveries().values().copied()),
            batch,
            journal,
            others,
            log,
            lease,
            tail: Tail::default(),
            open: HashMap::new(),
            counted: Instant::now(),
            done: BTreeMap::new(),
            written: Vec::new(),
            started: 0,
            handed_out: 0,
            is_followed,
            news: Instant::now(),
            postponed: Vec::new(),
            paused: Instant::now().checked_sub(2 * PAUSE).unwrap_or_else(Instant::now),
        })
    }

    /// The next result, in the order of the queries; none if there are no more, or after a cancellation. Whoever takes
    /// the next has written the earlier ones down.
    ///
    /// Cancel safe: no result is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<(ResultRecord, Vec<u8>)>, Error> {
        loop {
            if self.lease.is_lost() {
                return Err(refused(
                    &self.log,
                    "another coordinator has taken this run over".to_owned(),
                ));
            }
            if self.written.len() >= AT_ONCE {
                self.delete_written().await?;
            }
            if let Some(next) = self.done.remove(&self.handed_out) {
                self.handed_out += 1;
                self.written.push(next.0.index);
                return Ok(Some(next));
            }
            if self.batch.cancellation.is_cancelled() || self.handed_out >= self.batch.order.len() {
                return Ok(None);
            }
            let news = async {
                self.offer().await?;
                self.tail
                    .next(&self.log, &self.batch.cancellation)
                    .await
                    .map_err(|error| failed(&self.log, &error))
            };
            let message = match news.await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.delete_written().await?;
                    self.read_again();
                    continue;
                }
                Err(Error::Stopped) => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(index) = self.log.query_of(&message.subject) else { continue };
            let Some(open) = self.open.get_mut(&index) else { continue };
            self.news = Instant::now();
            let news = open.read(&message);
            let last = open.last;
            self.count_workers();
            let wrong = |reason| Error::JournalWrite {
                reason: format!("query {index} at the queue: {reason}"),
            };
            match news.map_err(wrong)? {
                News::Nothing => {}
                News::Gap => self.tail.rewind(last),
                News::Steps(lines) => self.journal.append(&lines)?,
                News::Result(record, line) => self.finish(index, *record, line)?,
            }
        }
    }

    /// Reads the logs of open queries again if nothing was heard of them for long, should a message have been lost.
    fn read_again(&mut self) {
        if self.news.elapsed() > SILENCE {
            self.news = Instant::now();
            if let Some(first) = self.open.values().map(|open| open.last).min() {
                self.tail.rewind(first);
            }
        }
    }

    /// Counts the workers that have a query, for whoever looks at the progress.
    fn count_workers(&mut self) {
        if self.counted.elapsed() > COUNT {
            self.counted = Instant::now();
            let workers: HashSet<&str> =
                self.open.values().filter_map(|open| open.worker.as_deref()).collect();
            self.batch.progress.set_workers(workers.len());
        }
    }

    fn finish(&mut self, index: usize, record: ResultRecord, line: Vec<u8>) -> Result<(), Error> {
        let Some(open) = self.open.remove(&index) else { return Ok(()) };
        let counts = open.counts;
        self.summary.add(&counts, open.worker.as_deref());
        if counts.redelivered + counts.asked_again > 0 {
            self.journal.note(&NewRecord::Delivered {
                query: index,
                log: counts.log,
                redelivered: counts.redelivered,
                asked_again: counts.asked_again,
            })?;
        }
        self.batch.progress.add(record.status == Status::Error);
        self.done.insert(open.position, (record, line));
        Ok(())
    }

    /// Offers more queries, as many as workers may have. Those that the server does not take now, for it is full or not
    /// there, are offered later: what workers finish in the meantime makes room.
    async fn offer(&mut self) -> Result<(), Error> {
        while self.open.len() < self.batch.concurrency && self.paused.elapsed() > PAUSE {
            let most = AT_ONCE.min(self.batch.concurrency - self.open.len());
            let ahead = self.handed_out + self.batch.concurrency + MAX_WAITING;
            let end = self.batch.order.len().min(self.started + most).min(ahead);
            let positions = match self.postponed.is_empty() {
                true => (self.started..end).collect(),
                false => std::mem::take(&mut self.postponed),
            };
            if positions.is_empty() {
                break;
            }
            let offers = positions.iter().filter_map(|position| {
                let index = self.batch.order.get(*position).copied()?;
                Some(tokio::time::timeout(PAUSE, self.offer_one(*position, index)))
            });
            let offered = join_all(offers).await;
            self.started = self.started.max(positions.last().map_or(0, |last| last + 1));
            for (position, offer) in positions.into_iter().zip(offered) {
                let Ok(offer) = offer else {
                    self.postponed.push(position);
                    self.paused = Instant::now();
                    continue;
                };
                let (index, open, begin) = offer?;
                self.open.insert(index, open);
                // Its messages may have been read while it was not open.
                if let Some(begin) = begin {
                    self.tail.rewind(begin.saturating_sub(1));
                }
            }
        }
        Ok(())
    }

    /// Offers a query. Returns the first message of its log too, if an earlier coordinator has offered it.
    async fn offer_one(
        &self,
        position: usize,
        index: usize,
    ) -> Result<(usize, OpenQuery, Option<u64>), Error> {
        let Self { journal, batch: Batch { tpo, queries, cancellation: cancel, .. }, .. } = self;
        let records = journal.records(index).await?;
        let shared = self.shared(index, &records).await?;
        let unwritable = |reason: String| Error::JournalWrite { reason };
        let query = queries.get(index).ok_or_else(|| unwritable(format!("no query {index}")))?;
        let head = QueryHead {
            query: query.clone(),
            fields: query.fields().clone(),
            donor: tpo.donor(index, queries),
            shared: shared.len(),
        };
        let mut body = serde_json::to_vec(&head).map_err(|error| unwritable(error.to_string()))?;
        body.push(b'\n');
        for record in records.iter().chain(&shared) {
            let line = line_with_checksum(record).map_err(|error| unwritable(error.to_string()))?;
            body.extend_from_slice(line.as_bytes());
        }
        let (subject, failed) =
            (self.log.log_of(index), |error: LogError| failed(&self.log, &error));
        let offered = self.log.append(&subject, 0, EntryKind::Query, body.clone(), cancel).await;
        let begin = match offered {
            Ok(_) => None,
            // An earlier coordinator has offered it, unless it was killed in the middle of that.
            Err(LogError::Fenced) => {
                let (entries, _) = self.log.read(&subject, cancel).await.map_err(failed)?;
                let first = entries.first().filter(|first| first.kind == EntryKind::Query);
                if first.is_none() {
                    self.log.delete(index, cancel).await.map_err(failed)?;
                    let offered =
                        self.log.append(&subject, 0, EntryKind::Query, body, cancel).await;
                    offered.map_err(failed)?;
                }
                first.map(|first| first.begin)
            }
            Err(error) => return Err(failed(error)),
        };
        self.log.offer(index, cancel).await.map_err(failed)?;
        Ok((index, OpenQuery::new(position, &records), begin))
    }

    /// The calls and scores of a query in other runs.
    async fn shared(&self, index: usize, own: &[Record]) -> Result<Vec<Record>, Error> {
        let mut known: HashSet<StepId> = own.iter().filter_map(step_id).collect();
        let mut shared = Vec::new();
        for journal in &self.others {
            let records = journal.records(index).await?;
            shared.extend(records.into_iter().filter(|record| {
                matches!(record, Record::Call { .. } | Record::Score { .. })
                    && step_id(record).is_some_and(|step| known.insert(step))
            }));
        }
        Ok(shared)
    }

    /// Deletes the logs of queries whose results are written.
    async fn delete_written(&mut self) -> Result<(), Error> {
        if !self.lease.is_held() {
            return Ok(());
        }
        let written = std::mem::take(&mut self.written);
        let deletions =
            written.iter().map(|index| self.log.delete(*index, &self.batch.cancellation));
        match join_all(deletions).await.into_iter().collect::<Result<(), LogError>>() {
            Ok(()) | Err(LogError::Stopped) => Ok(()),
            Err(error) => Err(failed(&self.log, &error)),
        }
    }

    /// The figures until now.
    pub(crate) fn summary(&self) -> QueueSummary {
        self.summary.clone()
    }

    /// Ends the run at the queue, if it is over; else another coordinator may continue it. Where another run follows,
    /// the streams stay for it, and so tell workers that the study is not over.
    pub(crate) async fn end(self, is_over: bool) -> Result<(), Error> {
        let removed = match is_over && !self.is_followed && self.lease.is_held() {
            true => self.log.remove().await,
            false => Ok(()),
        };
        if !is_over || self.is_followed || removed.is_err() {
            self.lease.release(&self.log).await;
        }
        removed
    }
}
