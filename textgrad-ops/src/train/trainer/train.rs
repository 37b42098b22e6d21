//! The loop: baseline, steps, end.

use std::time::Instant;

use serde_json::json;
use textgrad_core::Usage;

use super::population::Population;
use super::state::State;
use super::step::NO_FEEDBACK;
use super::work::StepError;
use super::{Place, Trainer, TrainerBuilder};
use crate::error::Error;
use crate::layer::MeterSnapshot;
use crate::train::observe::{Phase, TrainEvent};
use crate::train::record::{
    Baseline, Cost, EndReason, HistoryRecord, StepRecord, TrainFailure, Training,
};
use crate::train::run::{Folder, Saved};

impl Trainer {
    /// How many steps it makes at most.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Trains. At the end the program holds the best texts.
    ///
    /// Cancel safe: dropping the future puts the texts back that held before the step under way. (A file that
    /// is being written is finished in the background, so the folder may be locked for a moment longer.)
    ///
    /// # Errors
    /// A [`TrainFailure`] with what there was by then: all examples of a minibatch or a set failed,
    /// an engine failed on some of a set, the loss gave no feedback in the first epoch, the program depends on no
    /// parameter, or the run folder cannot be used. Where a file cannot be written, as
    /// on a full disk, the folder is left as it was after the last step that could be, and can be resumed.
    pub async fn run(&self) -> Result<Training, TrainFailure> {
        let begun = self.begin().await;
        let (folder, mut state, mut history) =
            begun.map_err(|error| TrainFailure { error, so_far: None })?;
        self.tell(&TrainEvent::Began { steps: self.steps, finished: state.steps });
        let outcome = self.train(&mut state, folder.as_ref(), &mut history).await;
        let (ended, error) = match outcome {
            Ok(ended) | Err(StepError::Ended(ended)) => (Some(ended), None),
            Err(StepError::Failed(error)) => (None, Some(error)),
        };
        let finished = self.finish(&mut state, folder.as_ref(), history, ended).await;
        self.tell(&TrainEvent::Ended {
            ended: finished.as_ref().ok().and_then(|(training, _)| training.ended),
        });
        match (finished, error) {
            (Err(error), _) => Err(TrainFailure { error, so_far: None }),
            (Ok((training, later)), first) => match first.or(later) {
                None => Ok(training),
                Some(error) => Err(TrainFailure { error, so_far: Some(Box::new(training)) }),
            },
        }
    }

    /// Opens the run folder and takes up what is in it.
    async fn begin(&self) -> Result<(Option<Folder>, State, Vec<HistoryRecord>), Error> {
        let new = State::new(&self.settings)?;
        let (folder, saved) = match &self.settings.place {
            None => (None, None),
            Some(Place::Create(path)) => {
                (Some(Folder::create(path, self.settings.config()?).await?), None)
            }
            Some(Place::Resume(path)) => {
                let config = self.settings.config()?;
                let (folder, saved) =
                    Folder::resume(path, config, |state: &State| state.steps).await?;
                (Some(folder), saved)
            }
        };
        match saved {
            None => Ok((folder, new, Vec::new())),
            Some(Saved { checkpoint, history }) => {
                checkpoint.restore(&self.settings)?;
                Ok((folder, checkpoint, history))
            }
        }
    }

    async fn train(
        &self,
        state: &mut State,
        folder: Option<&Folder>,
        history: &mut Vec<HistoryRecord>,
    ) -> Result<EndReason, StepError> {
        if history.is_empty() {
            if self.settings.stop.is_cancelled() {
                return Ok(EndReason::Stopped);
            }
            let baseline = self.baseline(state).await?;
            self.save(state, folder, HistoryRecord::Baseline(baseline), history).await?;
        }
        loop {
            if let Some(ended) = self.ended(state) {
                return Ok(ended);
            }
            let record = self.step(state).await?;
            let record = HistoryRecord::Step(Box::new(record));
            self.save(state, folder, record, history).await?;
            if let Some(HistoryRecord::Step(record)) = history.last() {
                self.tell(&TrainEvent::StepDone { record });
            }
            self.require_feedback(history)?;
        }
    }

    /// Checks that the loss gave feedback in the first epoch, if a prediction was not right.
    fn require_feedback(&self, history: &[HistoryRecord]) -> Result<(), Error> {
        let steps = || {
            history.iter().filter_map(|record| match record {
                HistoryRecord::Step(step) => Some(&**step),
                HistoryRecord::Baseline(_) => None,
            })
        };
        let is_silent = |step: &StepRecord| step.reason.as_deref() == Some(NO_FEEDBACK);
        if steps().count() != self.per_epoch || !steps().all(is_silent) {
            return Ok(());
        }
        let scores = steps().flat_map(|step| &step.examples).filter_map(|example| example.score);
        match scores.filter(|score| *score < 1.0).count() {
            0 => Ok(()),
            wrong => Err(Error::SilentLoss { steps: self.per_epoch, wrong }),
        }
    }

    async fn baseline(&self, state: &mut State) -> Result<Baseline, StepError> {
        let clock = Clock::start(&self.settings);
        let parameters = self.settings.program.state_dict()?;
        let validation = match &self.settings.validation {
            Some(set) => Some(self.measure(state, Phase::Validation, set, &parameters).await?),
            None => None,
        };
        let test = self.test_step(state, &parameters).await?;
        state.advance(0, &parameters, validation.map(|evaluation| evaluation.score));
        if self.settings.population != Population::Last {
            let first = self.member(state, parameters.clone(), Vec::new());
            state.members.advance(vec![first], None);
        }
        Ok(Baseline { parameters, validation, test, cost: clock.cost() })
    }

    async fn save(
        &self,
        state: &State,
        folder: Option<&Folder>,
        record: HistoryRecord,
        history: &mut Vec<HistoryRecord>,
    ) -> Result<(), StepError> {
        let saved = match folder {
            Some(folder) => folder.save(&record, state).await,
            None => Ok(()),
        };
        // What was done is told even where it could not be written.
        history.push(record);
        Ok(saved?)
    }

    /// Whether there is nothing more to do.
    fn ended(&self, state: &State) -> Option<EndReason> {
        let reached =
            self.settings.target.zip(state.score).is_some_and(|(target, score)| score >= target);
        if reached {
            Some(EndReason::Target)
        } else if self.settings.patience.is_some_and(|patience| state.stale >= patience) {
            Some(EndReason::Patience)
        } else if state.steps >= self.steps {
            Some(EndReason::Completed)
        } else if self.settings.stop.is_cancelled() {
            Some(EndReason::Stopped)
        } else {
            None
        }
    }

    /// Gives the program its best texts, tests them, and puts everything together.
    async fn finish(
        &self,
        state: &mut State,
        folder: Option<&Folder>,
        history: Vec<HistoryRecord>,
        mut ended: Option<EndReason>,
    ) -> Result<(Training, Option<Error>), Error> {
        let best = state.best.clone();
        self.settings.program.load_state_dict(&best.parameters)?;
        let (mut test, mut error) = (None, None);
        let may_ask = !matches!(ended, None | Some(EndReason::Budget | EndReason::Stopped));
        if let Some(set) = self.settings.test.as_ref().filter(|_| may_ask) {
            match self.measure(state, Phase::Test, set, &best.parameters).await {
                Ok(evaluation) => test = Some(evaluation),
                Err(StepError::Ended(early)) => ended = Some(early),
                Err(StepError::Failed(failure)) => {
                    ended = None;
                    error = Some(failure);
                }
            }
        }
        if let Some(folder) = folder {
            // The test of the best texts is paid for once. The parameters in the state are still those of
            // the last step.
            let kept = folder.checkpoint(state, state.steps).await;
            let result = json!({
                "ended": ended, "step": best.step, "score": best.score, "test": test,
                "parameters": best.parameters,
            });
            if let Err(failure) = kept.and(folder.finish(result).await) {
                ended = None;
                error = error.or(Some(failure));
            }
        }
        let (mut baseline, mut steps): (_, Vec<StepRecord>) = (None, Vec::new());
        for record in history {
            match record {
                HistoryRecord::Baseline(record) => baseline = Some(record),
                HistoryRecord::Step(record) => steps.push(*record),
            }
        }
        let (best, best_step, score) = (best.parameters, best.step, best.score);
        Ok((Training { best, best_step, score, test, baseline, steps, ended }, error))
    }

    pub(super) fn tell(&self, event: &TrainEvent<'_>) {
        if let Some(observer) = &self.settings.observer {
            observer.event(event);
        }
    }
}

/// What something takes, from a moment on.
pub(super) struct Clock<'a> {
    settings: &'a TrainerBuilder,
    begun: Instant,
    before: Option<MeterSnapshot>,
}

impl<'a> Clock<'a> {
    pub(super) fn start(settings: &'a TrainerBuilder) -> Self {
        let before = settings.meter.as_ref().map(|meter| meter.snapshot());
        Self { settings, begun: Instant::now(), before }
    }

    pub(super) fn cost(self) -> Cost {
        let now = self.settings.meter.as_ref().map(|meter| meter.snapshot());
        let both = self.before.zip(now);
        Cost {
            seconds: self.begun.elapsed().as_secs_f64(),
            requests: both.as_ref().map(|(then, now)| now.requests.saturating_sub(then.requests)),
            usage: both.map(|(then, now)| {
                let since = |of: fn(Usage) -> u64| of(now.usage).saturating_sub(of(then.usage));
                Usage {
                    prompt_tokens: since(|usage| usage.prompt_tokens),
                    completion_tokens: since(|usage| usage.completion_tokens),
                    cached_tokens: since(|usage| usage.cached_tokens),
                    reasoning_tokens: since(|usage| usage.reasoning_tokens),
                }
            }),
        }
    }
}
