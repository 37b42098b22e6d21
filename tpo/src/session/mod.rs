//! What surrounds one query while it is searched: its accounts, its journal, and the wish to stop.

mod engine;
mod stop;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use textgrad_core::{Engine, EngineError, ErrorKind, Purpose, Response};

pub use self::stop::Stop;
use crate::error::Error;
use crate::journal::{QueryJournal, StepKey};
use crate::reward::RewardModel;
use crate::search::UsageRecord;

use self::engine::SessionEngine;

/// The surroundings of one query. Every call of an engine or of the reward model goes through it, so that it
/// is counted, written down, answered from the journal where it was made before, and not begun once the run
/// is to stop.
#[derive(Clone, Default)]
pub(crate) struct Session(Arc<Inner>);

#[derive(Default)]
struct Inner {
    journal: Option<QueryJournal>,
    stop: Stop,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    usage: UsageRecord,
    busy: Duration,
    interrupted: Option<Interruption>,
}

/// Why a call was not made although nothing is wrong with it.
#[derive(Clone)]
enum Interruption {
    Stopped,
    JournalWrite(String),
}

impl Session {
    pub(crate) fn new(journal: Option<QueryJournal>, stop: Stop) -> Self {
        Self(Arc::new(Inner { journal, stop, state: Mutex::default() }))
    }

    /// The engine, seen from within this session.
    pub(crate) fn engine(&self, inner: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(SessionEngine::new(Arc::clone(inner), self.clone()))
    }

    /// Scores answers.
    pub(crate) async fn score(
        &self,
        reward: &Arc<dyn RewardModel>,
        query: &str,
        answers: &[&str],
    ) -> Result<Vec<f64>, Error> {
        if answers.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |source| Error::Reward { model: reward.name().to_owned(), source };
        let key = StepKey::of_scores(reward.name(), query, answers);
        let scores = match self.recall_scores(&key) {
            Some(scores) => scores,
            None => {
                self.may_begin().map_err(failed)?;
                let begun = Instant::now();
                let scores = reward.score(query, answers).await.map_err(failed)?;
                // A journal can not hold what is not a number; the pool names the answer.
                if scores.len() == answers.len() && scores.iter().all(|score| score.is_finite()) {
                    let took = begun.elapsed();
                    self.state().busy += took;
                    if let Some(journal) = &self.0.journal {
                        let written = journal.write_scores(&key, &scores, took).await;
                        self.written(written).map_err(failed)?;
                    }
                }
                scores
            }
        };
        self.state().usage.scored += answers.len() as u64;
        Ok(scores)
    }

    fn recall_scores(&self, key: &StepKey) -> Option<Vec<f64>> {
        self.0.journal.as_ref()?.recall_scores(key)
    }

    fn recall_call(&self, key: &StepKey) -> Option<Response> {
        self.0.journal.as_ref()?.recall_call(key)
    }

    /// Refuses to begin anything once the run is to stop.
    fn may_begin(&self) -> Result<(), EngineError> {
        if self.0.stop.is_set() {
            return Err(self.interrupt(Interruption::Stopped));
        }
        Ok(())
    }

    /// Takes note of a call that was answered, and writes it down.
    async fn finish_call(
        &self,
        key: &StepKey,
        purpose: Purpose,
        response: &Response,
        took: Duration,
    ) -> Result<(), EngineError> {
        self.state().busy += took;
        if let Some(journal) = &self.0.journal {
            let written = journal.write_call(key, purpose, response, took).await;
            self.written(written)?;
        }
        Ok(())
    }

    fn count_call(&self, purpose: Purpose, response: &Response) {
        self.state().usage.add_call(purpose, response.usage);
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

    /// How long the calls took, one after the other; those that were recalled took nothing.
    pub(crate) fn busy(&self) -> Duration {
        self.state().busy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
