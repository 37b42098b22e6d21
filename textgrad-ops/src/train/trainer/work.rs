//! Predictions, objectives and measurements of a set of examples, all at the same time.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use textgrad_core::{
    Error as CoreError, ErrorKind, Score, Seed, StateDict, Variable, catch_panic_async,
};

use super::Trainer;
use super::state::State;
use crate::error::Error;
use crate::score::{Example, is_right};
use crate::train::data::Dataset;
use crate::train::observe::{Phase, TrainEvent};
use crate::train::record::{EndReason, Evaluation};

/// How often an example of a set is measured, at most, if an engine fails on it.
const MEASUREMENTS: u32 = 3;

/// What came of one example of a minibatch.
pub(super) struct ExampleResult {
    pub(super) score: Option<f64>,
    /// The objective; none if the prediction was right and only errors are of interest.
    pub(super) loss: Option<Variable>,
}

impl Trainer {
    /// Predictions and objectives of a minibatch.
    pub(super) async fn work(
        &self,
        batch: &[&Arc<Example>],
        seed: Seed,
    ) -> Result<Vec<Result<ExampleResult, Arc<CoreError>>>, StepError> {
        let worked = batch.iter().zip(0..).map(|(example, position)| {
            let work = self.work_on(example, seed.child("example", position));
            self.guarded(Phase::Train, example, work, |worked| worked.score)
        });
        self.judge("forward pass and objective", join_all(worked).await)
    }

    async fn work_on(&self, example: &Example, seed: Seed) -> Result<ExampleResult, CoreError> {
        let settings = &self.settings;
        let prediction = settings.program.forward(example, seed.child("forward", 0)).await?;
        if settings.errors_only || settings.minibatch_gate {
            let score = self.score(&prediction, example).await?;
            if settings.errors_only && is_right(score) {
                return Ok(ExampleResult { score: Some(score.as_f64()), loss: None });
            }
            let loss =
                settings.loss.evaluate_example(&prediction, example, seed.child("loss", 0)).await?;
            return Ok(ExampleResult { score: Some(score.as_f64()), loss: Some(loss) });
        }
        let loss =
            settings.loss.evaluate_example(&prediction, example, seed.child("loss", 0)).await?;
        let score = loss.score().map(Score::as_f64).filter(|score| score.is_finite());
        Ok(ExampleResult { score, loss: Some(loss) })
    }

    async fn score(&self, prediction: &Variable, example: &Example) -> Result<Score, CoreError> {
        let Some(evaluator) = &self.settings.evaluator else {
            return Err(CoreError::op("expected an evaluator"));
        };
        let text = prediction.require_text("prediction")?;
        let score = evaluator.score(text, example).await?.required()?;
        if score.as_f64().is_finite() {
            Ok(score)
        } else {
            let name = evaluator.name();
            Err(CoreError::op(format!("expected {name} to give a finite score, got {score}")))
        }
    }

    /// How good the program's texts are on a set.
    pub(super) async fn measure(
        &self,
        state: &mut State,
        phase: Phase,
        set: &Dataset,
        texts: &StateDict,
    ) -> Result<Evaluation, StepError> {
        self.measure_first(state, phase, set, set.len(), texts).await
    }

    /// How good the program's texts are on the first examples of a set. What was measured before is not measured again.
    ///
    /// The seeds are those of the examples' positions alone, so that two states are compared on equal draws.
    pub(super) async fn measure_first(
        &self,
        state: &mut State,
        phase: Phase,
        set: &Dataset,
        count: usize,
        texts: &StateDict,
    ) -> Result<Evaluation, StepError> {
        let known = state.known(phase, texts).len();
        if known < count {
            self.tell(&TrainEvent::EvaluationBegun { phase, examples: count - known });
            let seed = self.settings.seed.child(phase.as_str(), 0);
            let examples = set.iter().zip(0..).take(count).skip(known);
            let examples = examples.map(|(example, position)| {
                (example, seed.child("example", position).child("forward", 0))
            });
            let may_all_fail = count < set.len() || known > 0;
            let scores = self.score_all(phase, examples, may_all_fail).await?;
            state.learn(phase, texts, scores);
        }
        let scores = state.known(phase, texts).get(..count).unwrap_or_default();
        let evaluation = Evaluation {
            score: self.total(scores) / count.max(1) as f64,
            examples: count,
            failed: scores.iter().filter(|score| score.is_none()).count(),
        };
        self.tell(&TrainEvent::Evaluated { phase, evaluation: &evaluation, known: known >= count });
        Ok(evaluation)
    }

    /// The sum of scores, of which those that are missing have the score of a failure.
    pub(super) fn total(&self, scores: &[Option<f64>]) -> f64 {
        scores.iter().map(|score| score.unwrap_or(self.settings.failure_score)).sum()
    }

    /// The scores of examples with the program's texts, none where an example failed.
    ///
    /// An example on which an engine fails in a way that may pass is measured again; a set of which some are left
    /// without a score for want of an engine has none, and nothing is decided by it.
    pub(super) async fn score_all<'a>(
        &self,
        phase: Phase,
        examples: impl Iterator<Item = (&'a Arc<Example>, Seed)>,
        may_all_fail: bool,
    ) -> Result<Vec<Option<f64>>, StepError> {
        let scored = examples.map(|(example, seed)| {
            let scored = async move {
                let mut measurement = 1;
                loop {
                    let scored = self.score_once(example, seed).await;
                    let again = measurement < MEASUREMENTS
                        && !self.settings.stop.is_cancelled()
                        && scored.as_ref().is_err_and(CoreError::is_retryable);
                    if !again {
                        return scored;
                    }
                    measurement += 1;
                }
            };
            self.guarded(phase, example, scored, |score| Some(score.as_f64()))
        });
        let scored = join_all(scored).await;
        let engine_failures = || {
            scored
                .iter()
                .filter_map(|score| score.as_ref().err())
                .filter(|error| is_engine_failure(error))
        };
        let (failed, examples) = (engine_failures().count(), scored.len());
        let unmeasured = engine_failures().next().map(|first| Error::Unmeasured {
            set: phase.as_str(),
            failed,
            examples,
            source: Arc::clone(first),
        });
        let scored = match self.judge("evaluation", scored) {
            Err(StepError::Failed(Error::AllFailed { .. })) if may_all_fail && failed == 0 => {
                return Ok(vec![None; examples]);
            }
            judged => judged?,
        };
        match unmeasured {
            Some(error) => Err(StepError::Failed(error)),
            None => Ok(scored.into_iter().map(|score| Some(score.ok()?.as_f64())).collect()),
        }
    }

    async fn score_once(&self, example: &Example, seed: Seed) -> Result<Score, CoreError> {
        let prediction = self.settings.program.forward(example, seed).await?;
        self.score(&prediction, example).await
    }

    /// Makes a panic an error, and tells what came of the example.
    async fn guarded<T>(
        &self,
        phase: Phase,
        example: &Example,
        work: impl Future<Output = Result<T, CoreError>>,
        score: impl Fn(&T) -> Option<f64>,
    ) -> Result<T, Arc<CoreError>> {
        let done = catch_panic_async(work).await;
        let done =
            done.unwrap_or_else(|message| Err(CoreError::op(format!("panicked: {message}"))));
        let (score, error) = (done.as_ref().ok().and_then(score), done.as_ref().err());
        self.tell(&TrainEvent::ExampleDone { phase, id: example.id(), score, error });
        done.map_err(Arc::new)
    }

    /// Some examples may fail, but not all, and none for want of budget or because of cancellation.
    fn judge<T>(
        &self,
        what: &'static str,
        done: Vec<Result<T, Arc<CoreError>>>,
    ) -> Result<Vec<Result<T, Arc<CoreError>>>, StepError> {
        let errors = || done.iter().filter_map(|done| done.as_ref().err());
        if errors().any(|error| is_budget(error)) {
            return Err(StepError::Ended(EndReason::Budget));
        }
        match errors().next() {
            Some(_) if self.settings.stop.is_cancelled() => {
                Err(StepError::Ended(EndReason::Stopped))
            }
            Some(first) if errors().count() == done.len() => {
                Err(StepError::Failed(Error::AllFailed {
                    what,
                    examples: done.len(),
                    source: Arc::clone(first),
                }))
            }
            _ => Ok(done),
        }
    }
}

/// Why a step does not come to its end.
pub(super) enum StepError {
    /// The training is over.
    Ended(EndReason),
    /// The training fails.
    Failed(Error),
}

/// Whether an engine's budget is used up.
pub(super) fn is_budget(error: &CoreError) -> bool {
    error.engine().is_some_and(|engine| engine.kind() == ErrorKind::Budget)
}

/// Whether an example failed for want of an engine, which says nothing about the texts that were measured. A
/// request that the engine will not take, and an answer that it refuses to give, do say something: they are
/// those of the texts.
pub(super) fn is_engine_failure(error: &CoreError) -> bool {
    error.engine().is_some_and(|engine| {
        engine.is_retryable()
            || !matches!(
                engine.kind(),
                ErrorKind::InvalidRequest
                    | ErrorKind::Unsupported
                    | ErrorKind::BadResponse
                    | ErrorKind::NoAnswer
            )
    })
}

impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        match error.engine() {
            Some(engine) if engine.kind() == ErrorKind::Budget => Self::Ended(EndReason::Budget),
            _ => Self::Failed(error),
        }
    }
}

impl From<CoreError> for StepError {
    fn from(error: CoreError) -> Self {
        Error::from(error).into()
    }
}
