//! Trials of new texts: the gate, the validation set, and merges.

use std::collections::BTreeMap;

use serde::Serialize;
use textgrad_core::{Parameter, Score, StateDict, describe};

use super::Trainer;
use super::population::{Member, Merge, Population};
use super::state::State;
use super::step::{Change, Revert, Start};
use super::work::StepError;
use crate::optim::{Proposal, ProposalOutcome};
use crate::train::data::Dataset;
use crate::train::observe::Phase;
use crate::train::record::{EndReason, Evaluation, StepOutcome};

/// The examples on which a merge is tried, before the whole validation set.
const MERGE_EXAMPLES: usize = 5;

/// Which new texts are kept, by their score on the validation set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Acceptance {
    /// Those that are not worse than the texts they would replace. TextGrad does the same: it takes a step
    /// back if the score has fallen.
    #[default]
    NotWorse,
    /// Those that are better.
    Better,
    /// All. The best texts are remembered nevertheless.
    Always,
}

impl Trainer {
    /// Assigns new texts, measures them, and keeps them or not.
    pub(super) async fn try_out(
        &self,
        state: &mut State,
        start: &Start,
        proposal: &Proposal,
        problem: Option<String>,
    ) -> Result<Change, StepError> {
        let settings = &self.settings;
        let program = &*settings.program;
        let mut proposed = proposed_texts(&program.named_parameters()?, proposal);
        let before = program.state_dict()?;
        let guard = Revert::new(program)?;
        if let Err(error) = proposal.apply() {
            guard.keep();
            if settings.stop.is_cancelled() {
                return Err(StepError::Ended(EndReason::Stopped));
            }
            return match StepError::from(error) {
                StepError::Failed(error) => {
                    settings
                        .optimizer
                        .report(proposal, ProposalOutcome { accepted: false, score: None });
                    Ok(Change { proposed, ..Change::none(StepOutcome::Failed, describe(&error)) })
                }
                ended @ StepError::Ended(_) => Err(ended),
            };
        }
        let mut trials = vec![program.state_dict()?];
        for trial in proposal.trials()?.into_iter().skip(1) {
            trials.push(trial.state_dict(program)?);
        }
        let has_members = settings.population != Population::Last;
        let mut reason = problem;
        if trials.iter().all(|texts| *texts == before) {
            reason = reason.or(Some("the new texts are the old ones".to_owned()));
        } else if has_members && trials.iter().all(|texts| state.members.position(texts).is_some())
        {
            reason = Some("the new texts are those of another member".to_owned());
        } else if settings.minibatch_gate {
            let (passed, why) = self.gate(start, trials).await?;
            trials = passed;
            reason = reason.or(why);
        }
        let measured = match &settings.validation {
            Some(set) if !trials.is_empty() => self.measure_trials(state, set, &trials).await?,
            _ => Vec::new(),
        };
        // The best, and of equals the first.
        let best = measured.iter().min_by(|(_, a), (_, b)| b.score.total_cmp(&a.score)).cloned();
        let validation = best.as_ref().map(|(_, evaluation)| *evaluation);
        let texts = best.map(|(texts, _)| texts).or(trials.into_iter().next());
        // A candidate may have been better than the first.
        for (name, text) in &mut proposed {
            if let Some(assigned) = texts.as_ref().and_then(|texts| texts.get(name)) {
                assigned.clone_into(text);
            }
        }
        let score = validation.map(|evaluation| evaluation.score);
        let unchanged = texts.as_ref() == Some(&before);
        let members = match has_members && !unchanged {
            true => self.new_members(state, start, measured),
            false => Vec::new(),
        };
        let accepted = unchanged
            || texts.is_some()
                && match has_members {
                    true => members.iter().any(|member| Some(&member.texts) == texts.as_ref()),
                    false => is_accepted(settings.acceptance, score, start.score),
                };
        let outcome = match (unchanged, accepted) {
            (true, _) => StepOutcome::Unchanged,
            (_, true) => StepOutcome::Accepted,
            (_, false) => StepOutcome::Reverted,
        };
        if let (true, Some(texts)) = (accepted, texts) {
            program.load_state_dict(&texts)?;
            guard.keep();
        } else {
            drop(guard);
        }
        let outcome_of = ProposalOutcome { accepted, score: score.map(Score::Number) };
        settings.optimizer.report(proposal, outcome_of);
        Ok(Change { outcome, reason, proposed, validation, members, merge: None })
    }

    /// The trials that score more on the minibatch than what the step started from, and why none does.
    async fn gate(
        &self,
        start: &Start,
        trials: Vec<StateDict>,
    ) -> Result<(Vec<StateDict>, Option<String>), StepError> {
        let before = self.total(&start.scores);
        let (mut passed, mut best) = (Vec::new(), f64::NEG_INFINITY);
        for texts in trials {
            self.settings.program.load_state_dict(&texts)?;
            let batch = start.batch.iter().map(|(example, seed)| (example, *seed));
            let now = self.total(&self.score_all(Phase::Train, batch, true).await?);
            best = best.max(now);
            if now > before {
                passed.push(texts);
            }
        }
        let why = passed.is_empty().then(|| {
            format!("the minibatch scored {best:.3} in all, and {before:.3} with the old texts")
        });
        Ok((passed, why))
    }

    /// Measures trials on the validation set. By successive halving, more examples are measured of the better half
    /// only, and what is returned are the trials of which all were.
    async fn measure_trials(
        &self,
        state: &mut State,
        set: &Dataset,
        trials: &[StateDict],
    ) -> Result<Vec<(StateDict, Evaluation)>, StepError> {
        let mut left: Vec<&StateDict> = trials.iter().collect();
        let rounds = match self.settings.successive_halving {
            true => left.len().checked_ilog2().unwrap_or(0),
            false => 0,
        };
        for round in (0..=rounds).rev() {
            let examples = set.len().checked_shr(round).unwrap_or(0).max(1);
            let mut measured = Vec::new();
            for texts in left {
                self.settings.program.load_state_dict(texts)?;
                let evaluation =
                    self.measure_first(state, Phase::Validation, set, examples, texts).await?;
                measured.push((texts, evaluation));
            }
            if round == 0 {
                return Ok(measured.into_iter().map(|(texts, one)| (texts.clone(), one)).collect());
            }
            // The sort is stable: of equals the earlier stay.
            measured.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
            measured.truncate(measured.len().div_ceil(2));
            left = measured.into_iter().map(|(texts, _)| texts).collect();
        }
        Ok(Vec::new())
    }

    /// The members that measured trials make.
    fn new_members(
        &self,
        state: &State,
        start: &Start,
        measured: Vec<(StateDict, Evaluation)>,
    ) -> Vec<Member> {
        let is_new = |texts: &StateDict| state.members.position(texts).is_none();
        let measured = measured.into_iter().filter(|(texts, _)| is_new(texts));
        let parents: Vec<usize> = start.parent.into_iter().collect();
        let mut members: Vec<Member> =
            measured.map(|(texts, _)| self.member(state, texts, parents.clone())).collect();
        members.sort_by(|a, b| b.mean().total_cmp(&a.mean()));
        if let Population::Beam(width) = self.settings.population {
            let least = state.members.best(width).get(width.get() - 1).copied();
            let least = least.and_then(|least| state.members.get(least)).map(Member::mean);
            members.retain(|member| least.is_none_or(|least| member.mean() > least));
        }
        members
    }

    /// A member with the scores that are known of its texts.
    pub(super) fn member(&self, state: &State, texts: StateDict, parents: Vec<usize>) -> Member {
        let scores = state.known(Phase::Validation, &texts).iter();
        let scores = scores.map(|score| score.unwrap_or(self.settings.failure_score)).collect();
        Member { texts, scores, parents }
    }

    /// Tries a merge: on a few examples of the validation set, then on all.
    pub(super) async fn merge(&self, state: &mut State, merge: Merge) -> Result<Change, StepError> {
        let Merge { texts, parents } = merge;
        let settings = &self.settings;
        let Some(set) = &settings.validation else {
            return Ok(Change::none(StepOutcome::Unchanged, "there is no validation set"));
        };
        let guard = Revert::new(&*settings.program)?;
        settings.program.load_state_dict(&texts)?;
        let count = MERGE_EXAMPLES.min(set.len());
        let few = self.measure_first(state, Phase::Validation, set, count, &texts).await?;
        let of = |parent: &usize| {
            let scores = state.members.get(*parent).map(|member| &member.scores);
            scores
                .map_or(0.0, |scores| scores.iter().take(count).sum::<f64>() / count.max(1) as f64)
        };
        let least = parents.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        let proposed: BTreeMap<String, String> =
            texts.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let merge = Some(parents);
        if few.score < least {
            let reason = format!(
                "a merge of members {} and {} scored {:.3} on {count} examples, one of them {least:.3}",
                parents[0], parents[1], few.score
            );
            drop(guard);
            return Ok(Change { proposed, merge, ..Change::none(StepOutcome::Reverted, reason) });
        }
        let validation = Some(self.measure(state, Phase::Validation, set, &texts).await?);
        guard.keep();
        let members = vec![self.member(state, texts, parents.to_vec())];
        let reason = Some(format!("a merge of members {} and {}", parents[0], parents[1]));
        Ok(Change { outcome: StepOutcome::Accepted, reason, proposed, validation, members, merge })
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
