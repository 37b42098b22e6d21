//! Deliveries: searches of single queries by a worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Batch;
use async_nats::jetstream::{AckKind, Message};
use textgrad_core::EngineError;
use textgrad_ops::CancellationToken;
use textgrad_ops::layer::of_age;
use tracing::{Instrument as _, Span, info_span};

use super::entry::{EntryKind, ReadQuery, Recorder};
use super::log::{Attempts, LogError, QueueLog};
use crate::SharedCache;
use crate::batch::QueryOutcome;
use crate::error::Error;
use crate::journal::{QueryJournal, Record, StepSink};
use crate::run::ResultRecord;
use crate::search::{AlignError, Tpo, Trajectory};
use crate::session::Session;

/// A query is given up after so many deliveries in a row without a step.
const MAX_FRUITLESS: u32 = 5;
/// How long one request for queries waits for the first.
pub(super) const PULL: Duration = Duration::from_secs(1);
/// A query whose search failed by a passing fault is delivered again after so long.
const PAUSE: Duration = Duration::from_secs(2);

/// What became of a delivery.
pub(super) enum Delivery {
    Done,
    Lost,
    GivenBack,
    /// Another worker was faster, or the query was finished before.
    Nothing,
    RunIsOver,
}

/// What all deliveries to a worker share.
pub(super) struct Search {
    pub(super) tpo: Tpo,
    pub(super) log: Arc<QueueLog>,
    pub(super) ack_wait: Duration,
    /// The context of the coordinator's span.
    #[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "read by spans"))]
    pub(super) trace: HashMap<String, String>,
    pub(super) cancel: CancellationToken,
    pub(super) abort: CancellationToken,
}

impl Search {
    /// Asks for up to so many queries.
    pub(super) async fn pull(
        &self,
        consumer: &mut Option<PullConsumer>,
        most: usize,
    ) -> Result<Batch, LogError> {
        let mut attempts = Attempts::new(&self.log, &self.cancel);
        loop {
            let error = match consumer {
                None => match self.log.workers().await {
                    Ok(found) => {
                        *consumer = Some(found);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Some(found) => {
                    match found.batch().max_messages(most).expires(PULL).messages().await {
                        Ok(batch) => return Ok(batch),
                        Err(error) => error.to_string(),
                    }
                }
            };
            *consumer = None;
            attempts.again(&error).await?;
        }
    }

    /// Searches a query, with signs of life while that lasts.
    pub(super) async fn deliver(&self, index: usize, message: Message) -> Delivery {
        let alive = async {
            loop {
                tokio::time::sleep(self.ack_wait / 3).await;
                // One that does not arrive is made up for by the next.
                let _ = message.ack_with(AckKind::Progress).await;
            }
        };
        tokio::select! {
            delivery = self.search(index, &message) => delivery.unwrap_or_else(|error| match error {
                LogError::Gone => Delivery::RunIsOver,
                LogError::Fenced => Delivery::Nothing,
                LogError::Stopped => Delivery::GivenBack,
            }),
            () = alive => Delivery::Nothing,
        }
    }

    async fn search(&self, index: usize, message: &Message) -> Result<Delivery, LogError> {
        let subject = self.log.log_of(index);
        let (entries, last) = self.log.read(&subject, &self.cancel).await?;
        let read = match ReadQuery::of(&entries) {
            Ok(Some(read)) if !read.is_done => read,
            Ok(_) => {
                self.done(message).await;
                return Ok(Delivery::Nothing);
            }
            Err(reason) => {
                tracing::error!("the log of query {index} cannot be read: {reason}");
                return Ok(Delivery::Nothing);
            }
        };
        drop(entries);
        let last =
            self.log.append(&subject, last, EntryKind::Claim, Vec::new(), &self.cancel).await?;
        let recorder = Recorder::start(Arc::clone(&self.log), subject, last, self.abort.clone());
        let ReadQuery { query, donor, records, shared, fruitless, .. } = read;
        let is_last = fruitless + 1 >= MAX_FRUITLESS;
        let result = if fruitless >= MAX_FRUITLESS {
            let message = format!(
                "given up after {fruitless} deliveries without a step: no worker came to its end"
            );
            let error =
                EngineError::new(textgrad_core::ErrorKind::Other, message).with_retryable(false);
            Err(AlignError { error: error.into(), trajectory: Trajectory::default() })
        } else {
            let sink = StepSink::Queue(recorder.clone());
            let journal = QueryJournal::new(index, Some(sink), records);
            let session = Session::new(Some(journal), self.cancel.clone()).without_graph();
            match self.sharing(&shared) {
                Ok(tpo) => {
                    let search = tpo.align_in(index, query.clone(), donor, session);
                    of_age(index as u64, search).instrument(self.span(fruitless)).await
                }
                Err(error) => Err(AlignError { error, trajectory: Trajectory::default() }),
            }
        };
        if recorder.is_fenced() {
            return Ok(Delivery::Lost);
        }
        if let Err(failure) = &result {
            let is_passing = failure.error.is_retryable() && !is_last;
            if matches!(failure.error, Error::Stopped) || self.cancel.is_cancelled() {
                return Ok(self.give_back(&recorder, message).await);
            }
            if matches!(failure.error, Error::JournalWrite { .. }) {
                return Ok(Delivery::RunIsOver);
            }
            if is_passing {
                tracing::warn!("query {index} is given back: {}", crate::describe(&failure.error));
                // It counts as fruitless, so that a query whose every search fails comes to an end.
                let _ = message.ack_with(AckKind::Nak(Some(PAUSE))).await;
                return Ok(Delivery::GivenBack);
            }
        }
        let outcome = QueryOutcome { index, query, result };
        let record = ResultRecord::from_outcome(outcome, self.tpo.is_simulation());
        let Ok(mut line) = serde_json::to_vec(&record) else { return Ok(Delivery::Nothing) };
        line.push(b'\n');
        if recorder.add(EntryKind::Result, line).await.is_err() {
            return Ok(if recorder.is_fenced() { Delivery::Lost } else { Delivery::RunIsOver });
        }
        self.done(message).await;
        Ok(Delivery::Done)
    }

    /// A child of the coordinator's span, around the search of a delivery.
    fn span(&self, fruitless: u32) -> Span {
        let span = info_span!(
            "delivery",
            tpo.worker = self.log.process,
            tpo.deliveries_without_step = i64::from(fruitless),
        );
        #[cfg(feature = "otel")]
        textgrad_ops::telemetry::extract(&span, &self.trace);
        span
    }

    /// A search that has equal requests answered by the steps of other runs.
    fn sharing(&self, steps: &[Record]) -> Result<Tpo, Error> {
        if steps.is_empty() {
            return Ok(self.tpo.clone());
        }
        let cache = SharedCache::default();
        steps.iter().for_each(|step| cache.add(step));
        cache.search(&self.tpo, self.tpo.config().clone())
    }

    /// Acknowledges a query whose result is in the log. If that is lost, it is delivered once more.
    async fn done(&self, message: &Message) {
        if let Err(error) = message.double_ack().await {
            tracing::debug!("a finished query may be delivered again: {error}");
        }
    }

    /// Gives a query back that this worker still has.
    async fn give_back(&self, recorder: &Recorder, message: &Message) -> Delivery {
        if recorder.add(EntryKind::Release, Vec::new()).await.is_err() {
            return Delivery::Lost;
        }
        let _ = message.double_ack_with(AckKind::Nak(None)).await;
        Delivery::GivenBack
    }
}
