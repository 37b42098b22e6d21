//! The logs of all queries, read in the order of their messages while they grow.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use futures_util::StreamExt;
use textgrad_ops::CancellationToken;

use super::log::{Attempts, LogError, QueueLog};

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
