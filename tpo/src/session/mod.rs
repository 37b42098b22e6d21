//! The scope of one query's search: accounting, journal and cancellation of every call.
//!
//! Failed calls follow a rule of their own, since a search may go on after some and end with others. A failure is
//! first *pending*. [`Session::commit_failures`] writes the pending ones to the journal; it runs whenever the search
//! goes on: before each call and score, and at the end of a search that succeeded. A failure that ended the search
//! thus never reaches the journal, and is asked again on resume.

mod engine;
mod reward;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use textgrad_core::{Engine, EngineError, ErrorKind, Purpose, Request, Response, truncate};
use textgrad_ops::CancellationToken;
use textgrad_ops::layer::{Money, Price, Prices};

use crate::error::Error;
use crate::journal::{QueryJournal, StepKey, among};
use crate::query::Query;
use crate::search::UsageRecord;

use self::engine::SessionEngine;
pub(crate) use self::reward::BoundReward;

/// The scope of one query. Every call of an engine or of the reward model goes through it: the call is counted,
/// recorded, answered from the journal if it was made before, and not begun after a cancellation.
#[derive(Clone, Default)]
pub(crate) struct Session(Arc<SessionInner>);

#[derive(Default)]
struct SessionInner {
    journal: Mutex<Option<Arc<QueryJournal>>>,
    stop: CancellationToken,
    /// The prices of calls, for a search that is bounded in money.
    prices: OnceLock<Prices>,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    usage: UsageRecord,
    money: Money,
    model_time: ModelTime,
    pending_failures: Vec<(StepKey, String)>,
    interruption: Option<Interruption>,
}

/// How long calls were under way; concurrent calls count once.
#[derive(Default)]
struct ModelTime {
    under_way: usize,
    /// When the first of those that are under way began.
    since: Option<Instant>,
    before: Duration,
}

/// A call that is under way, until it is dropped.
struct UnderWay<'a>(&'a Session);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let time = &mut self.0.accounts().model_time;
        time.under_way = time.under_way.saturating_sub(1);
        if time.under_way == 0
            && let Some(since) = time.since.take()
        {
            time.before += since.elapsed();
        }
    }
}

/// Why a call was not made although nothing is wrong with it.
#[derive(Clone)]
enum Interruption {
    Stopped,
    JournalWrite(String),
}

impl Session {
    pub(crate) fn new(journal: Option<QueryJournal>, stop: CancellationToken) -> Self {
        let journal = Mutex::new(journal.map(Arc::new));
        let (prices, accounts) = Default::default();
        Self(Arc::new(SessionInner { journal, stop, prices, accounts }))
    }

    /// Counts what calls cost from now on.
    pub(crate) fn priced(self, prices: &Prices) -> Self {
        self.0.prices.get_or_init(|| prices.clone());
        self
    }

    /// The engine within this session.
    pub(crate) fn engine(&self, inner: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(SessionEngine::new(Arc::clone(inner), self.clone()))
    }

    /// Scores answers and counts them.
    pub(crate) async fn score(
        &self,
        reward: &BoundReward,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, Error> {
        let scores = self.scores(reward, query, answers).await?;
        self.accounts().usage.scored += answers.len() as u64;
        Ok(scores)
    }

    /// Scores answers, as many at a time as the reward model takes. Each score is written down as soon as it is
    /// there; the failure of one answer does not lose the others.
    async fn scores(
        &self,
        reward: &BoundReward,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, Error> {
        self.commit_failures().await?;
        let BoundReward { model, is_journaled } = reward;
        let journal = self.journal().filter(|_| *is_journaled);
        let mut identity = model.identity().into_owned();
        let mut batch = model.batch().max(1);
        if model.is_relative() {
            identity = among(&identity, answers);
            batch = usize::MAX;
        }
        let keys = answers.iter().map(|answer| StepKey::of_score(&identity, query, answer));
        let mut scores: Vec<(StepKey, Option<f64>)> = keys
            .map(|key| {
                let known = journal.as_ref().and_then(|journal| journal.recall_score(&key));
                (key, known)
            })
            .collect();
        // Relative scores are asked for together or not at all.
        let all = model.is_relative() && scores.iter().any(|(_, known)| known.is_none());
        let unknown: Vec<(usize, &str)> = scores
            .iter()
            .zip(answers)
            .enumerate()
            .filter(|(_, ((_, known), _))| all || known.is_none())
            .map(|(index, (_, answer))| (index, *answer))
            .collect();
        let asked = unknown.chunks(batch).map(|chunk| {
            let keys = &scores;
            async move { self.score_chunk(reward, query, chunk, keys).await }
        });
        let answered = join_all(asked).await;
        let mut failure = None;
        for answered in answered {
            match answered {
                Ok(found) => {
                    for (index, score) in found {
                        if let Some((_, slot)) = scores.get_mut(index) {
                            *slot = Some(score);
                        }
                    }
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(scores.into_iter().filter_map(|(_, score)| score).collect())
    }

    async fn score_chunk(
        &self,
        reward: &BoundReward,
        query: &Query,
        chunk: &[(usize, &str)],
        keys: &[(StepKey, Option<f64>)],
    ) -> Result<Vec<(usize, f64)>, Error> {
        let BoundReward { model, is_journaled } = reward;
        let journal = self.journal().filter(|_| *is_journaled);
        let answers: Vec<&str> = chunk.iter().map(|(_, answer)| *answer).collect();
        let failed = |source| Error::Reward {
            model: model.name().to_owned(),
            answer: truncate(answers.first().copied().unwrap_or_default(), 80),
            source,
        };
        self.may_begin().map_err(failed)?;
        let begun = Instant::now();
        let scores = {
            // The calls of engines count for themselves.
            let _under_way = is_journaled.then(|| self.begin());
            model.score(query, &answers).await
        };
        let scores = scores.map_err(|error| failed(self.map_cancelled(error)))?;
        let took = begun.elapsed();
        if scores.len() != answers.len() {
            return Err(Error::ScoreCount { expected: answers.len(), got: scores.len() });
        }
        for ((index, answer), score) in chunk.iter().zip(&scores) {
            // A journal cannot hold what is not a number.
            if !score.is_finite() {
                return Err(Error::Score { answer: truncate(answer, 80), got: *score });
            }
            if let (Some(journal), Some((key, _))) = (&journal, keys.get(*index)) {
                let written = journal.write_score(key, *score, took).await;
                self.written(written).map_err(failed)?;
            }
        }
        Ok(chunk.iter().map(|(index, _)| *index).zip(scores).collect())
    }

    /// The recorded outcome of a call: its response, or a failure that the search went on after.
    fn recall_call(&self, key: &StepKey) -> Option<Result<Response, EngineError>> {
        self.journal()?.recall_call(key)
    }

    /// Fails after a cancellation, and when the journal cannot be written.
    fn may_begin(&self) -> Result<(), EngineError> {
        if let Some(journal) = self.journal()
            && let Some(reason) = journal.failure()
        {
            return Err(self.interrupt(Interruption::JournalWrite(reason.to_owned())));
        }
        if self.is_stopped() {
            return Err(self.interrupt(Interruption::Stopped));
        }
        Ok(())
    }

    /// Counts the time of a call until the guard is dropped.
    fn begin(&self) -> UnderWay<'_> {
        let time = &mut self.accounts().model_time;
        time.under_way += 1;
        time.since.get_or_insert_with(Instant::now);
        UnderWay(self)
    }

    /// Records a call that was answered.
    async fn finish_call(
        &self,
        key: &StepKey,
        purpose: Purpose,
        response: &Response,
        took: Duration,
    ) -> Result<(), EngineError> {
        if let Some(journal) = self.journal() {
            let written = journal.write_call(key, purpose, response, took).await;
            self.written(written)?;
        }
        Ok(())
    }

    /// Notes a call that failed for good; see the module for when it is recorded.
    fn fail_call(&self, key: &StepKey, error: EngineError) -> EngineError {
        let error = self.map_cancelled(error);
        let mut accounts = self.accounts();
        if accounts.interruption.is_none() {
            accounts.pending_failures.push((key.clone(), error.to_string()));
        }
        error
    }

    /// A failure is an interruption if the cancellation ended its retries.
    fn map_cancelled(&self, error: EngineError) -> EngineError {
        match self.is_stopped() && error.is_retryable() {
            true => self.interrupt(Interruption::Stopped),
            false => error,
        }
    }

    /// Records the failures that the search went on after: a repetition must go on without these calls too, since
    /// everything after them depends on it.
    pub(crate) async fn commit_failures(&self) -> Result<(), EngineError> {
        let failures = std::mem::take(&mut self.accounts().pending_failures);
        if let Some(journal) = self.journal() {
            for (key, message) in failures {
                let written = journal.write_failed(&key, message).await;
                self.written(written)?;
            }
        }
        Ok(())
    }

    fn count_call(&self, request: &Request, response: &Response, price: Option<Price>) {
        let mut accounts = self.accounts();
        accounts.usage.add_call(request.purpose, response.usage);
        if let Some(price) = price {
            accounts.money = accounts.money.plus(price.of_call(request, response));
        }
    }

    /// The price of an engine; none where nobody asks for it.
    fn price(&self, engine: &str) -> Result<Option<Price>, EngineError> {
        let Some(prices) = self.0.prices.get() else { return Ok(None) };
        prices.of(engine).map(Some).ok_or_else(|| {
            let message = format!(
                "expected a price for the engine {engine:?}, for the search is bounded in money; add one, 0 if it \
                 costs nothing"
            );
            EngineError::new(ErrorKind::InvalidRequest, message)
        })
    }

    /// What the calls cost, as far as they have a price.
    pub(crate) fn money(&self) -> Money {
        self.accounts().money
    }

    fn written(&self, written: Result<(), String>) -> Result<(), EngineError> {
        written.map_err(|reason| self.interrupt(Interruption::JournalWrite(reason)))
    }

    fn is_stopped(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    fn interrupt(&self, interruption: Interruption) -> EngineError {
        let message = match &interruption {
            Interruption::Stopped => "the run was asked to stop",
            Interruption::JournalWrite(_) => "the journal could not be written",
        };
        self.accounts().interruption.get_or_insert(interruption);
        EngineError::new(ErrorKind::Other, message)
    }

    /// Why the session was interrupted, if it was: that is then why the search failed.
    pub(crate) fn interruption(&self) -> Option<Error> {
        self.accounts().interruption.clone().map(|interruption| match interruption {
            Interruption::Stopped => Error::Stopped,
            Interruption::JournalWrite(reason) => Error::JournalWrite { reason },
        })
    }

    pub(crate) fn usage(&self) -> UsageRecord {
        self.accounts().usage.clone()
    }

    /// How long the search waited for calls. Recalled calls take no time; concurrent calls count once.
    pub(crate) fn model_time(&self) -> Duration {
        self.accounts().model_time.before
    }

    fn journal(&self) -> Option<Arc<QueryJournal>> {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of the journal: the graph of a search holds its engines, and so this session, for as long as
    /// somebody looks at it.
    pub(crate) fn close(&self) {
        *self.0.journal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
