//! One step: forward, backward, new texts, validation.

use std::collections::BTreeMap;
use std::sync::Arc;

use textgrad_core::{
    Backward, Error as CoreError, Gradients, Parameter, Seed, StateDict, Variable, describe,
};

use super::state::State;
use super::train::Clock;
use super::work::{ExampleResult, StepError, is_budget};
use super::{Acceptance, Trainer};
use crate::algebra::{aggregate, sum};
use crate::error::Error;
use crate::optim::{Proposal, ProposalOutcome};
use crate::score::Example;
use crate::train::data::Dataset;
use crate::train::observe::{Phase, TrainEvent};
use crate::train::program::Program;
use crate::train::record::{EndReason, Evaluation, ExampleRecord, StepOutcome, StepRecord};

/// What a step came to, before it is written down.
struct Change {
    outcome: StepOutcome,
    reason: Option<String>,
    proposed: BTreeMap<String, String>,
    validation: Option<Evaluation>,
}

impl Change {
    fn none(outcome: StepOutcome, reason: impl Into<String>) -> Self {
        let reason = Some(reason.into());
        Self { outcome, reason, proposed: BTreeMap::new(), validation: None }
    }
}

/// Puts the old texts back when it is dropped, unless the new ones are kept: a step that is cancelled or
/// fails leaves nothing behind.
struct Revert<'a> {
    program: &'a dyn Program,
    before: Option<StateDict>,
}

impl Revert<'_> {
    fn keep(mut self) {
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

        let program = &*self.settings.program;
        let guard = Revert { program, before: Some(program.state_dict()?) };
        let worked = self.work(&batch, seed).await?;
        let losses: Vec<Variable> =
            worked.iter().flatten().filter_map(|worked| worked.loss.clone()).collect();
        let change = if losses.is_empty() {
            Change::none(StepOutcome::Unchanged, "every example was right")
        } else {
            self.change(state, &losses, seed).await?
        };

        let texts = self.settings.program.state_dict()?;
        let score = match change.outcome {
            StepOutcome::Accepted => change.validation.map(|evaluation| evaluation.score),
            _ => state.score,
        };
        let test = self.test_step(state, &texts).await?;
        state.advance(number, &texts, score);
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

    /// From objectives to new texts that are kept or not.
    async fn change(
        &self,
        state: &mut State,
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
        self.try_out(state, &proposal, problem).await
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
                None => {
                    Change::none(StepOutcome::Unchanged, "there was no feedback on any parameter")
                }
            }),
            StepError::Failed(error) => Ok(Change::none(StepOutcome::Failed, describe(&error))),
            ended => Err(ended),
        }
    }

    /// Assigns new texts, measures them, and keeps them or not.
    async fn try_out(
        &self,
        state: &mut State,
        proposal: &Proposal,
        problem: Option<String>,
    ) -> Result<Change, StepError> {
        let settings = &self.settings;
        let mut proposed = proposed_texts(&settings.program.named_parameters()?, proposal);
        let before = settings.program.state_dict()?;
        if let Err(error) = proposal.apply() {
            if settings.stop.is_cancelled() {
                return Err(StepError::Ended(EndReason::Stopped));
            }
            return match StepError::from(error) {
                StepError::Failed(error) => {
                    settings
                        .optimizer
                        .report(proposal, ProposalOutcome { accepted: false, score: None });
                    let reason = Some(describe(&error));
                    Ok(Change { outcome: StepOutcome::Failed, reason, proposed, validation: None })
                }
                ended @ StepError::Ended(_) => Err(ended),
            };
        }
        let guard = Revert { program: &*settings.program, before: Some(before.clone()) };
        let validation = match &settings.validation {
            Some(set) => Some(self.measure_candidates(state, set, proposal).await?),
            None => None,
        };
        let texts = settings.program.state_dict()?;
        // A candidate may have been better than the first.
        for (name, text) in &mut proposed {
            if let Some(assigned) = texts.get(name) {
                assigned.clone_into(text);
            }
        }
        let score = validation.map(|evaluation| evaluation.score);
        let unchanged = texts == before;
        let accepted = unchanged || is_accepted(settings.acceptance, score, state.score);
        let outcome = match (unchanged, accepted) {
            (true, _) => StepOutcome::Unchanged,
            (_, true) => StepOutcome::Accepted,
            (_, false) => StepOutcome::Reverted,
        };
        if accepted {
            guard.keep();
        } else {
            drop(guard);
        }
        let score = score.map(textgrad_core::Score::Number);
        settings.optimizer.report(proposal, ProposalOutcome { accepted, score });
        let reason =
            problem.or_else(|| unchanged.then(|| "the new texts are the old ones".to_owned()));
        Ok(Change { outcome, reason, proposed, validation })
    }

    /// Measures the candidates of an applied proposal, in order, and leaves the best assigned; of equals, the
    /// first.
    async fn measure_candidates(
        &self,
        state: &mut State,
        set: &Dataset,
        proposal: &Proposal,
    ) -> Result<Evaluation, StepError> {
        let program = &*self.settings.program;
        let mut texts = program.state_dict()?;
        let mut best = self.measure(state, Phase::Validation, set, &texts).await?;
        let mut assigned = texts.clone();
        for trial in proposal.trials()?.into_iter().skip(1) {
            assigned = trial.state_dict(program)?;
            program.load_state_dict(&assigned)?;
            let evaluation = self.measure(state, Phase::Validation, set, &assigned).await?;
            if evaluation.score > best.score {
                (best, texts) = (evaluation, assigned.clone());
            }
        }
        if assigned != texts {
            program.load_state_dict(&texts)?;
        }
        Ok(best)
    }
}

fn is_accepted(acceptance: Acceptance, new: Option<f64>, old: Option<f64>) -> bool {
    let (Some(new), Some(old)) = (new, old) else { return true };
    match acceptance {
        Acceptance::NotWorse => new >= old,
        Acceptance::Better => new > old,
        Acceptance::Always => true,
    }
}

/// The new texts by the first names of their parameters.
fn proposed_texts(named: &[(String, Parameter)], proposal: &Proposal) -> BTreeMap<String, String> {
    let updates = proposal.updates.iter().filter_map(|update| {
        let (name, _) = named.iter().find(|(_, parameter)| *parameter == update.parameter)?;
        let text = update.rewrite.as_ref().ok()?.candidates.first()?.text()?;
        Some((name.clone(), text.to_owned()))
    });
    updates.collect()
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
