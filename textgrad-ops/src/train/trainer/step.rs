//! One step: forward, backward, new texts, validation.

use std::collections::BTreeMap;
use std::sync::Arc;

use textgrad_core::{
    Backward, Error as CoreError, Gradients, Parameter, Seed, StateDict, Variable, describe,
};

use super::Trainer;
use super::population::Member;
use super::state::State;
use super::train::Clock;
use super::work::{ExampleResult, StepError, is_budget};
use crate::algebra::{aggregate, sum};
use crate::error::Error;
use crate::score::Example;
use crate::train::observe::{Phase, TrainEvent};
use crate::train::program::Program;
use crate::train::record::{EndReason, Evaluation, ExampleRecord, StepOutcome, StepRecord};

/// The reason of a step without feedback.
pub(super) const NO_FEEDBACK: &str = "there was no feedback on any parameter";

/// What a step came to, before it is written down.
pub(super) struct Change {
    pub(super) outcome: StepOutcome,
    pub(super) reason: Option<String>,
    pub(super) proposed: BTreeMap<String, String>,
    pub(super) validation: Option<Evaluation>,
    /// The members that it adds to the population.
    pub(super) members: Vec<Member>,
    /// The members that were merged.
    pub(super) merge: Option<[usize; 2]>,
}

impl Change {
    pub(super) fn none(outcome: StepOutcome, reason: impl Into<String>) -> Self {
        let reason = Some(reason.into());
        let (proposed, members) = (BTreeMap::new(), Vec::new());
        Self { outcome, reason, proposed, validation: None, members, merge: None }
    }
}

/// The texts that a step starts from.
pub(super) struct Start {
    /// The member of the population, if it has some.
    pub(super) parent: Option<usize>,
    /// Their validation score.
    pub(super) score: Option<f64>,
    /// The minibatch: each example with the seed of its prediction.
    pub(super) batch: Vec<(Arc<Example>, Seed)>,
    /// What they scored on it, none where an example failed.
    pub(super) scores: Vec<Option<f64>>,
}

/// Puts the old texts back when it is dropped, unless the new ones are kept: a step that is cancelled or
/// fails leaves nothing behind.
pub(super) struct Revert<'a> {
    program: &'a dyn Program,
    before: Option<StateDict>,
}

impl<'a> Revert<'a> {
    pub(super) fn new(program: &'a dyn Program) -> Result<Self, CoreError> {
        Ok(Self { program, before: Some(program.state_dict()?) })
    }

    pub(super) fn keep(mut self) {
        self.before = None;
    }
}

impl Drop for Revert<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            // The texts are the program's own, so they fit.
            let _ = self.program.load_state_dict(&before);
        }
    }
}

impl Trainer {
    /// Makes the next step. The state moves on only if it comes to its end.
    pub(super) async fn step(&self, state: &mut State) -> Result<StepRecord, StepError> {
        let clock = Clock::start(&self.settings);
        let number = state.steps + 1;
        let (epoch, position) = (state.steps / self.per_epoch, state.steps % self.per_epoch);
        let seed = self.settings.seed.child("epoch", epoch as u64).child("step", position as u64);
        let positions =
            self.batches.epoch(epoch as u64).into_iter().nth(position).unwrap_or_default();
        let batch: Vec<&Arc<Example>> =
            positions.iter().filter_map(|position| self.settings.train.get(*position)).collect();
        self.tell(&TrainEvent::StepBegun { step: number, epoch: epoch + 1, examples: batch.len() });

        let guard = Revert::new(&*self.settings.program)?;
        let merge = state.members.merge(self.settings.merges, seed.child("merge", 0));
        let (change, held, worked) = match merge {
            Some(merge) => (self.merge(state, merge).await?, state.score, Vec::new()),
            None => {
                let mut start = self.start(state, &batch, seed)?;
                let worked = self.work(&batch, seed).await?;
                let score = |done: &Result<ExampleResult, _>| done.as_ref().ok()?.score;
                start.scores = worked.iter().map(score).collect();
                let losses: Vec<Variable> =
                    worked.iter().flatten().filter_map(|worked| worked.loss.clone()).collect();
                let change = if losses.is_empty() {
                    Change::none(StepOutcome::Unchanged, "every example was right")
                } else {
                    self.change(state, &start, &losses, seed).await?
                };
                (change, start.score, worked)
            }
        };

        let texts = self.settings.program.state_dict()?;
        let score = match change.outcome {
            StepOutcome::Accepted => change.validation.map(|evaluation| evaluation.score),
            _ => held,
        };
        let test = self.test_step(state, &texts).await?;
        let parents = change.members.first().map(|member| member.parents.clone());
        state.advance(number, &texts, score);
        state.members.advance(change.members, change.merge);
        state.capture(&self.settings)?;
        guard.keep();
        Ok(StepRecord {
            step: number,
            epoch: epoch + 1,
            batch: position + 1,
            examples: batch
                .iter()
                .zip(&worked)
                .map(|(example, done)| record(example, done))
                .collect(),
            parents: parents.unwrap_or_default(),
            outcome: change.outcome,
            reason: change.reason,
            proposed: change.proposed,
            validation: change.validation,
            test,
            score,
            parameters: texts,
            cost: clock.cost(),
        })
    }

    /// Evaluates the test set, if each step is tested.
    pub(super) async fn test_step(
        &self,
        state: &mut State,
        texts: &StateDict,
    ) -> Result<Option<Evaluation>, StepError> {
        match &self.settings.test {
            Some(set) if self.settings.test_each_step => {
                Ok(Some(self.measure(state, Phase::Test, set, texts).await?))
            }
            _ => Ok(None),
        }
    }

    /// Gives the program the texts that the step starts from: those of a member, if there is a population.
    fn start(
        &self,
        state: &State,
        batch: &[&Arc<Example>],
        seed: Seed,
    ) -> Result<Start, StepError> {
        let parent = state.members.parent(self.settings.population, state.steps, seed);
        let member = parent.and_then(|parent| state.members.get(parent));
        if let Some(member) = member {
            self.settings.program.load_state_dict(&member.texts)?;
        }
        let batch = batch.iter().zip(0..).map(|(example, position)| {
            (Arc::clone(example), seed.child("example", position).child("forward", 0))
        });
        let score = member.map(Member::mean).or(state.score);
        Ok(Start { parent, score, batch: batch.collect(), scores: Vec::new() })
    }

    /// From objectives to new texts that are kept or not.
    async fn change(
        &self,
        state: &mut State,
        start: &Start,
        losses: &[Variable],
        seed: Seed,
    ) -> Result<Change, StepError> {
        let objective = match &self.settings.reduction {
            Some(reduction) => aggregate(losses, Arc::clone(reduction)).await?,
            None => sum(losses).await?,
        };
        let parameters = self.settings.program.parameters()?;
        let (gradients, problem) = self.differentiate(&objective, &parameters, seed).await?;

        self.tell(&TrainEvent::ProposalBegun);
        let proposed = self.settings.optimizer.propose(&parameters, &objective, &gradients).await;
        let proposal = match proposed {
            Ok(proposal) => proposal,
            Err(error) => return self.no_proposal(error, problem),
        };
        self.tell(&TrainEvent::Proposed { proposal: &proposal });
        self.try_out(state, start, &proposal, problem).await
    }

    /// Runs the backward pass. One that failed in part still serves, if it brought feedback on a parameter.
    async fn differentiate(
        &self,
        objective: &Variable,
        parameters: &[Parameter],
        seed: Seed,
    ) -> Result<(Gradients, Option<String>), StepError> {
        if !self.settings.optimizer.needs_gradients() {
            return Ok((Gradients::default(), None));
        }
        self.tell(&TrainEvent::BackwardBegun);
        let mut pass =
            Backward::new(objective).layout(self.settings.layout).seed(seed.child("backward", 0));
        if let Some(engine) = &self.settings.feedback_engine {
            pass = pass.engine(Arc::clone(engine));
        }
        let failure = match pass.run().await {
            Ok(gradients) => return Ok((gradients, None)),
            Err(failure) => failure,
        };
        if is_budget(&failure.error) {
            return Err(StepError::Ended(EndReason::Budget));
        }
        if self.settings.stop.is_cancelled() {
            return Err(StepError::Ended(EndReason::Stopped));
        }
        // No minibatch has a gradient then: this is a mistake in the program, not bad luck.
        if matches!(failure.error, CoreError::NothingRequiresGrad { .. }) {
            return Err(failure.error.into());
        }
        let has_feedback = |parameter: &Parameter| {
            failure.gradients.feedback(&parameter.variable()).next().is_some()
        };
        let problem = format!("the backward pass failed in part: {}", describe(&failure.error));
        if parameters.iter().any(has_feedback) {
            Ok((failure.gradients, Some(problem)))
        } else {
            Ok((Gradients::default(), Some(problem)))
        }
    }

    fn no_proposal(&self, error: Error, problem: Option<String>) -> Result<Change, StepError> {
        match StepError::from(error) {
            StepError::Failed(_) if self.settings.stop.is_cancelled() => {
                Err(StepError::Ended(EndReason::Stopped))
            }
            StepError::Failed(Error::NoFeedback { .. }) => Ok(match problem {
                Some(problem) => Change::none(StepOutcome::Failed, problem),
                None => Change::none(StepOutcome::Unchanged, NO_FEEDBACK),
            }),
            StepError::Failed(error) => Ok(Change::none(StepOutcome::Failed, describe(&error))),
            ended => Err(ended),
        }
    }
}

fn record(example: &Example, done: &Result<ExampleResult, Arc<CoreError>>) -> ExampleRecord {
    let worked = done.as_ref().ok();
    ExampleRecord {
        id: example.id().to_owned(),
        score: worked.and_then(|worked| worked.score),
        loss: worked.and_then(|worked| worked.loss.as_ref()?.text()).map(str::to_owned),
        error: done.as_ref().err().map(|error| describe(&**error)),
    }
}
