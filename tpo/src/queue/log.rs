//! The streams of a queue at its server.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{
    Config, DirectGetErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use textgrad_ops::CancellationToken;

use super::address::QueueAddress;
use super::entry::{Assembler, BY, Entry, EntryKind, ID, KIND, LogMessage, MORE};
use crate::error::Error;

/// The longest part of a message: below the 1 MiB that servers allow by default.
const MAX_PART: usize = 512 * 1024;

/// The time between two attempts.
const DELAYS: [u64; 6] = [20, 50, 100, 250, 500, 1000];

/// How long a stream must be unknown to the server before it counts as removed: a server that restarts knows none.
pub(super) const GONE: Duration = Duration::from_secs(2);

/// The name of the consumer that all workers share.
const CONSUMER: &str = "workers";

/// Why something is not done at the server.
#[derive(Debug)]
pub(super) enum LogError {
    /// Another process has added to the log.
    Fenced,
    /// The run is over: its streams are not there.
    Gone,
    /// It was cancelled while the server did not answer.
    Stopped,
}

/// A connection to the streams of a queue.
#[derive(Clone)]
pub(super) struct QueueLog {
    address: QueueAddress,
    context: Context,
    log: Stream<()>,
    work: Stream<()>,
    max_part: usize,
    /// The name of this process among all.
    pub(super) process: String,
    messages: Arc<AtomicU64>,
    /// The id of the run, in the subjects of its queries: those of a later run at this address are others.
    run: String,
}

impl QueueLog {
    /// Connects.
    pub(super) async fn connect(address: &QueueAddress) -> Result<Self, Error> {
        let context = address.connect().await?;
        let part = context.client().server_info().max_payload / 2;
        let stream = async |name: String| {
            let stream = context.get_stream_no_info(name).await;
            stream.map_err(|error| address.failed("expected the name of a stream", error))
        };
        let (log, work) = (log_name(address), work_name(address));
        Ok(Self {
            address: address.clone(),
            log: stream(log).await?,
            work: stream(work).await?,
            max_part: part.clamp(1024, MAX_PART),
            process: process(),
            messages: Arc::default(),
            run: String::new(),
            context,
        })
    }

    /// The same connection, to the queries of a run.
    pub(super) fn of_run(&self, run: &str) -> Self {
        Self { run: run.to_owned(), ..self.clone() }
    }

    pub(super) fn address(&self) -> &QueueAddress {
        &self.address
    }

    /// Makes the streams, unless they are there, and the consumer of the workers.
    pub(super) async fn create(&self, ack_wait: Duration) -> Result<(), Error> {
        let name = self.address.name();
        let stream = |stream, subjects, retention| Config {
            name: stream,
            subjects,
            retention,
            storage: StorageType::File,
            allow_direct: true,
            allow_rollup: true,
            num_replicas: 1,
            ..Config::default()
        };
        let subjects = ["log.>", "run", "coordinator"].map(|end| format!("tpo.{name}.{end}"));
        let log = stream(log_name(&self.address), subjects.to_vec(), RetentionPolicy::Limits);
        let subjects = vec![format!("tpo.{name}.work.>")];
        let work = stream(work_name(&self.address), subjects, RetentionPolicy::WorkQueue);
        for config in [log, work] {
            let created = self.context.create_stream(config).await;
            let hint = "expected to create a stream (is JetStream on, as with nats-server -js?)";
            created.map_err(|error| self.address.failed(hint, error))?;
        }
        let consumer = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            max_deliver: -1,
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let created = self.work.create_consumer(consumer).await;
        created.map_err(|error| self.address.failed("expected to create a consumer", error))?;
        Ok(())
    }

    /// Removes the streams. That of the work goes last: when workers learn of it, the other is gone.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        for stream in [log_name(&self.address), work_name(&self.address)] {
            let removed = self.context.delete_stream(stream).await;
            removed.map_err(|error| self.address.failed("the queue cannot be removed", error))?;
        }
        Ok(())
    }

    /// Removes the queries of an earlier run, and their logs.
    pub(super) async fn purge(&self) -> Result<(), Error> {
        for (stream, end) in [(&self.work, "work.>"), (&self.log, "log.>")] {
            let purged = stream.purge().filter(self.subject(end)).await;
            purged
                .map_err(|error| self.address.failed("an earlier run cannot be removed", error))?;
        }
        Ok(())
    }

    /// The consumer of the workers.
    pub(super) async fn workers(&self) -> Result<PullConsumer, impl Display + use<>> {
        self.work.get_consumer(CONSUMER).await
    }

    pub(super) fn log_stream(&self) -> &Stream<()> {
        &self.log
    }

    pub(super) fn subject(&self, end: &str) -> String {
        format!("tpo.{}.{end}", self.address.name())
    }

    pub(super) fn log_of(&self, query: usize) -> String {
        self.subject(&format!("log.{}.{query}", self.run))
    }

    pub(super) fn work_of(&self, query: usize) -> String {
        self.subject(&format!("work.{}.{query}", self.run))
    }

    /// The subjects of the logs of all queries.
    pub(super) fn logs(&self) -> String {
        self.subject(&format!("log.{}.*", self.run))
    }

    /// The query of a subject of a log or of work; none if it is of another run.
    pub(super) fn query_of(&self, subject: &str) -> Option<usize> {
        let (start, query) = subject.rsplit_once('.')?;
        let run = start.rsplit_once('.')?.1;
        query.parse().ok().filter(|_| run == self.run)
    }

    /// Adds an entry to the log of a subject whose last message has the sequence `last`. Returns that of its own last
    /// message. While the server does not answer, or has no room, it tries on.
    pub(super) async fn append(
        &self,
        subject: &str,
        mut last: u64,
        kind: EntryKind,
        body: Vec<u8>,
        stop: &CancellationToken,
    ) -> Result<u64, LogError> {
        let mut rest = Bytes::from(body);
        loop {
            let part = rest.split_to(self.max_part.min(rest.len()));
            let message = PublishMessage::build().header(KIND, kind.as_ref());
            let message = match rest.is_empty() {
                true => message,
                false => message.header(MORE, "1"),
            };
            last = self.publish(subject, last, message.payload(part), stop).await?;
            if rest.is_empty() {
                return Ok(last);
            }
        }
    }

    /// Replaces the message of a subject that has one, if that is as expected.
    pub(super) async fn replace(
        &self,
        subject: &str,
        last: u64,
        body: Vec<u8>,
        stop: &CancellationToken,
    ) -> Result<u64, LogError> {
        let message = PublishMessage::build().header("Nats-Rollup", "sub").payload(body.into());
        self.publish(subject, last, message, stop).await
    }

    /// Gives a query to the workers, unless they have it.
    pub(super) async fn offer(
        &self,
        query: usize,
        stop: &CancellationToken,
    ) -> Result<(), LogError> {
        let subject = self.work_of(query);
        match self.publish(&subject, 0, PublishMessage::build(), stop).await {
            Ok(_) | Err(LogError::Fenced) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn publish(
        &self,
        subject: &str,
        last: u64,
        message: PublishMessage,
        stop: &CancellationToken,
    ) -> Result<u64, LogError> {
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.process);
        let message = message.header(BY, self.process.as_str()).header(ID, id.as_str());
        let message = message.expected_last_subject_sequence(last);
        let mut attempts = Attempts::new(self, stop);
        loop {
            let sent = async {
                let message = message.clone().outbound_message(subject.to_owned());
                let (headers, payload) = (message.headers.unwrap_or_default(), message.payload);
                self.context.publish_with_headers(subject.to_owned(), headers, payload).await?.await
            };
            let error = match sent.await {
                Ok(stored) => return Ok(stored.sequence),
                Err(error) => error,
            };
            if error.kind() == PublishErrorKind::WrongLastSequence {
                // It may be this message that is the last, where the reply to an earlier attempt was lost.
                let found = self.last(subject, stop).await?;
                let own = found.filter(|found| {
                    found.headers.get(ID).is_some_and(|found| found.as_str() == id)
                });
                return own.map(|own| own.sequence).ok_or(LogError::Fenced);
            }
            attempts.again(&error).await?;
        }
    }

    /// The last message of a subject.
    pub(super) async fn last(
        &self,
        subject: &str,
        stop: &CancellationToken,
    ) -> Result<Option<StreamMessage>, LogError> {
        self.get(subject, None, stop).await
    }

    /// The entries of a log, and the sequence of its last message; 0 without any.
    pub(super) async fn read(
        &self,
        subject: &str,
        stop: &CancellationToken,
    ) -> Result<(Vec<Entry>, u64), LogError> {
        let (mut entries, mut assembler, mut last) = (Vec::new(), Assembler::default(), 0);
        while let Some(message) = self.get(subject, Some(last + 1), stop).await? {
            last = message.sequence;
            entries.extend(assembler.push(&LogMessage {
                headers: Some(&message.headers),
                sequence: message.sequence,
                time: message.time.unix_timestamp_nanos(),
                body: &message.payload,
            }));
        }
        Ok((entries, last))
    }

    /// The first message of a subject from a sequence on, or the last one.
    async fn get(
        &self,
        subject: &str,
        from: Option<u64>,
        stop: &CancellationToken,
    ) -> Result<Option<StreamMessage>, LogError> {
        let mut attempts = Attempts::new(self, stop);
        loop {
            let got = match from {
                Some(_) => self.log.direct_get_next_for_subject(subject, from).await,
                None => self.log.direct_get_last_for_subject(subject).await,
            };
            match got {
                Ok(message) => return Ok(Some(message)),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
                Err(error) => attempts.again(&error).await?,
            }
        }
    }

    /// Takes a query from the workers and deletes its log.
    pub(super) async fn delete(
        &self,
        query: usize,
        stop: &CancellationToken,
    ) -> Result<(), LogError> {
        // Whoever receives the query from here on finds no log of it.
        for (stream, subject) in
            [(&self.work, self.work_of(query)), (&self.log, self.log_of(query))]
        {
            let mut attempts = Attempts::new(self, stop);
            while let Err(error) = stream.purge().filter(subject.clone()).await {
                attempts.again(&error).await?;
            }
        }
        Ok(())
    }

    /// Whether the server says that the run has no streams.
    pub(super) async fn is_gone(&self) -> bool {
        match self.context.get_stream(log_name(&self.address)).await.map(|_| ()) {
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) => {
                    error.error_code() == ErrorCode::STREAM_NOT_FOUND
                }
                _ => false,
            },
            Ok(()) => false,
        }
    }
}

/// Attempts to have something done at the server.
pub(super) struct Attempts<'a> {
    log: &'a QueueLog,
    stop: &'a CancellationToken,
    done: usize,
    gone_since: Option<Instant>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(log: &'a QueueLog, stop: &'a CancellationToken) -> Self {
        Self { log, stop, done: 0, gone_since: None }
    }

    /// Waits before the next attempt.
    pub(super) async fn again(&mut self, error: &impl Display) -> Result<(), LogError> {
        let delay = DELAYS.get(self.done).or(DELAYS.last()).copied().unwrap_or_default();
        self.done += 1;
        if self.done == DELAYS.len() && self.gone_since.is_none() {
            tracing::warn!(
                "the queue does not do what is asked, and is asked again until it does: {error}"
            );
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(LogError::Stopped),
            () = tokio::time::sleep(Duration::from_millis(delay)) => {}
        }
        if !self.log.is_gone().await {
            self.gone_since = None;
        } else if self.gone_since.get_or_insert_with(Instant::now).elapsed() > GONE {
            return Err(LogError::Gone);
        }
        Ok(())
    }
}

fn log_name(address: &QueueAddress) -> String {
    format!("TPO_{}", address.name())
}

fn work_name(address: &QueueAddress) -> String {
    format!("TPO_{}_work", address.name())
}

/// A name of this process: readable, and unlike that of any other.
fn process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '-';
    let host: String = host.trim().chars().filter(plain).take(32).collect();
    let host = if host.is_empty() { "host" } else { &host };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.as_nanos());
    format!("{host}-{}-{:x}", std::process::id(), nanos & 0xff_ffff_ffff)
}
