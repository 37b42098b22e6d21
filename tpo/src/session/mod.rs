//! What surrounds one query while it is searched: its accounts, its journal, and the wish to stop.

mod engine;
mod reward;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use textgrad_core::{Engine, EngineError, ErrorKind, Purpose, Request, Response, truncate};
use textgrad_ops::Stop;
use textgrad_ops::engine::layer::{Money, Price, Prices};

use crate::error::Error;
use crate::journal::{QueryJournal, StepKey, among};
use crate::query::Query;
use crate::search::UsageRecord;

use self::engine::SessionEngine;
pub(crate) use self::reward::Scorer;

/// The surroundings of one query. Every call of an engine or of the reward model goes through it, so that it
/// is counted, written down, answered from the journal where it was made before, and not begun once the run
/// is to stop.
#[derive(Clone, Default)]
pub(crate) struct Session(Arc<Inner>);

#[derive(Default)]
struct Inner {
    journal: Mutex<Option<Arc<QueryJournal>>>,
    stop: Stop,
    /// What calls cost, where that matters.
    prices: OnceLock<Prices>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    usage: UsageRecord,
    money: Money,
    busy: Busy,
    failures: Vec<(StepKey, String)>,
    interrupted: Option<Interruption>,
}

/// How long calls were under way, those that run side by side counted once.
#[derive(Default)]
struct Busy {
    under_way: usize,
    /// When the first of those that are under way began.
    since: Option<Instant>,
    before: Duration,
}

/// A call that is under way, until it is dropped.
struct UnderWay<'a>(&'a Session);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let busy = &mut self.0.state().busy;
        busy.under_way = busy.under_way.saturating_sub(1);
        if busy.under_way == 0
            && let Some(since) = busy.since.take()
        {
            busy.before += since.elapsed();
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
    pub(crate) fn new(journal: Option<QueryJournal>, stop: Stop) -> Self {
        let journal = Mutex::new(journal.map(Arc::new));
        let (prices, state) = Default::default();
        Self(Arc::new(Inner { journal, stop, prices, state }))
    }

    /// Counts what calls cost from now on.
    pub(crate) fn priced(self, prices: &Prices) -> Self {
        self.0.prices.get_or_init(|| prices.clone());
        self
    }

    /// The engine, seen from within this session.
    pub(crate) fn engine(&self, inner: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(SessionEngine::new(Arc::clone(inner), self.clone()))
    }

    /// Scores answers and counts them.
    pub(crate) async fn score(
        &self,
        scorer: &Scorer,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, Error> {
        let scores = self.scores(scorer, query, answers).await?;
        self.state().usage.scored += answers.len() as u64;
        Ok(scores)
    }

    /// Scores answers, as many at a time as the reward model takes. Each score is written down as soon as it is
    /// there; the failure of one answer does not lose the others.
    async fn scores(
        &self,
        scorer: &Scorer,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, Error> {
        self.went_on().await?;
        let reward = &scorer.model;
        let journal = self.journal().filter(|_| scorer.writes_scores);
        let mut identity = reward.identity().into_owned();
        let mut batch = reward.batch().max(1);
        if reward.is_relative() {
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
        let all = reward.is_relative() && scores.iter().any(|(_, known)| known.is_none());
        let unknown: Vec<(usize, &str)> = scores
            .iter()
            .zip(answers)
            .enumerate()
            .filter(|(_, ((_, known), _))| all || known.is_none())
            .map(|(place, (_, answer))| (place, *answer))
            .collect();
        let asked = unknown.chunks(batch).map(|chunk| {
            let keys = &scores;
            async move { self.score_chunk(scorer, query, chunk, keys).await }
        });
        let answered = join_all(asked).await;
        let mut failure = None;
        for answered in answered {
            match answered {
                Ok(found) => {
                    for (place, score) in found {
                        if let Some((_, slot)) = scores.get_mut(place) {
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
        scorer: &Scorer,
        query: &Query,
        chunk: &[(usize, &str)],
        keys: &[(StepKey, Option<f64>)],
    ) -> Result<Vec<(usize, f64)>, Error> {
        let reward = &scorer.model;
        let journal = self.journal().filter(|_| scorer.writes_scores);
        let answers: Vec<&str> = chunk.iter().map(|(_, answer)| *answer).collect();
        let failed = |source| Error::Reward {
            model: reward.name().to_owned(),
            answer: truncate(answers.first().copied().unwrap_or_default(), 80),
            source,
        };
        self.may_begin().map_err(failed)?;
        let begun = Instant::now();
        let scores = {
            // The calls of engines count for themselves.
            let _under_way = scorer.writes_scores.then(|| self.begin());
            reward.score(query, &answers).await
        };
        let scores = scores.map_err(|error| failed(self.unless_stopped(error)))?;
        let took = begun.elapsed();
        if scores.len() != answers.len() {
            return Err(Error::ScoreCount { expected: answers.len(), got: scores.len() });
        }
        for ((place, answer), score) in chunk.iter().zip(&scores) {
            // A journal cannot hold what is not a number.
            if !score.is_finite() {
                return Err(Error::Score { answer: truncate(answer, 80), got: *score });
            }
            if let (Some(journal), Some((key, _))) = (&journal, keys.get(*place)) {
                let written = journal.write_score(key, *score, took).await;
                self.written(written).map_err(failed)?;
            }
        }
        Ok(chunk.iter().map(|(place, _)| *place).zip(scores).collect())
    }

    /// What a call was answered before, or how it failed for good in a search that went on without it.
    fn recall_call(&self, key: &StepKey) -> Option<Result<Response, EngineError>> {
        self.journal()?.recall_call(key)
    }

    /// Refuses to begin anything once the run is to stop, or what comes of it could not be written down.
    fn may_begin(&self) -> Result<(), EngineError> {
        if let Some(journal) = self.journal()
            && let Some(reason) = journal.failure()
        {
            return Err(self.interrupt(Interruption::JournalWrite(reason.to_owned())));
        }
        if self.0.stop.is_set() {
            return Err(self.interrupt(Interruption::Stopped));
        }
        Ok(())
    }

    /// Takes note of a call that begins.
    fn begin(&self) -> UnderWay<'_> {
        let busy = &mut self.state().busy;
        busy.under_way += 1;
        busy.since.get_or_insert_with(Instant::now);
        UnderWay(self)
    }

    /// Takes note of a call that was answered, and writes it down.
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

    /// Takes note of a call that failed for good.
    fn fail_call(&self, key: StepKey, error: EngineError) -> EngineError {
        let error = self.unless_stopped(error);
        if self.state().interrupted.is_none() {
            self.state().failures.push((key, error.to_string()));
        }
        error
    }

    /// A failure that might have passed, had the stop not ended the retries, is an interruption.
    fn unless_stopped(&self, error: EngineError) -> EngineError {
        match self.0.stop.is_set() && error.is_retryable() {
            true => self.interrupt(Interruption::Stopped),
            false => error,
        }
    }

    /// Writes down the failures that the search went on after: a repetition must go on without them too,
    /// for everything behind them depends on it. Called whenever the search goes on.
    pub(crate) async fn went_on(&self) -> Result<(), EngineError> {
        let failures = std::mem::take(&mut self.state().failures);
        if let Some(journal) = self.journal() {
            for (key, message) in failures {
                let written = journal.write_failed(&key, message).await;
                self.written(written)?;
            }
        }
        Ok(())
    }

    fn count_call(&self, request: &Request, response: &Response, price: Option<Price>) {
        let mut state = self.state();
        state.usage.add_call(request.purpose, response.usage);
        if let Some(price) = price {
            state.money = state.money.plus(price.of_call(request, response));
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
        self.state().money
    }

    fn written(&self, written: Result<(), String>) -> Result<(), EngineError> {
        written.map_err(|reason| self.interrupt(Interruption::JournalWrite(reason)))
    }

    fn interrupt(&self, interruption: Interruption) -> EngineError {
        let message = match &interruption {
            Interruption::Stopped => "the run was asked to stop",
            Interruption::JournalWrite(_) => "the journal could not be written",
        };
        self.state().interrupted.get_or_insert(interruption);
        EngineError::new(ErrorKind::Other, message)
    }

    /// Why the session was interrupted, if it was: that is then why the search failed.
    pub(crate) fn interruption(&self) -> Option<Error> {
        self.state().interrupted.clone().map(|interruption| match interruption {
            Interruption::Stopped => Error::Stopped,
            Interruption::JournalWrite(reason) => Error::JournalWrite { reason },
        })
    }

    pub(crate) fn usage(&self) -> UsageRecord {
        self.state().usage.clone()
    }

    /// How long the search waited for calls; those that were recalled took nothing, and those that ran side by
    /// side took as long as the longest.
    pub(crate) fn busy(&self) -> Duration {
        self.state().busy.before
    }

    fn journal(&self) -> Option<Arc<QueryJournal>> {
        self.0.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of the journal: the graph of a search holds its engines, and so this session, for as long as
    /// somebody looks at it.
    pub(crate) fn close(&self) {
        *self.0.journal.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
