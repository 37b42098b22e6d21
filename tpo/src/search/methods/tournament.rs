//! A pairwise judge among the answers: knock-out, and feedback descent, a champion with a memory of the rationales.

use std::collections::HashSet;

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Feedback, Variable};

use super::fuse::drawn;
use crate::TpoConfig;
use crate::error::Error;
use crate::reward::JudgeReward;
use crate::search::{Comparison, Descent, Iteration, IterationCx, Method, Step, Update};

/// The critic as a judge of two answers.
fn judge(cx: &IterationCx<'_>) -> Result<JudgeReward, Error> {
    JudgeReward::builder(cx.critic().clone())
        .pairwise()
        .sampling(cx.config().critic.clone())
        .seed(cx.seed().child("judge", 0))
        .prompts(cx.prompts().clone())
        .unreadable(textgrad_ops::score::Unreadable::Worst)
        .build()
}

/// Best of N(D + 1) by a knock-out: in each iteration the answers that are new and differ meet in pairs, and the
/// champion with them, in an order that the seed draws; the critic says which of two is better, once in each order. A
/// tie goes to the earlier answer. Then N more are sampled. The champion of the last round is returned.
///
/// Chen et al., "Simple and Provable Scaling Laws for the Test-Time Compute of Large Language Models"
/// (arXiv:2411.19477), with one comparison in each order, and with a round in each iteration, so that a budget can
/// end it anywhere. The reward model has no say in what is returned: its score of that answer is a held-out one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tournament;

#[async_trait]
impl Method for Tournament {
    fn name(&self) -> String {
        "tournament".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        made.steps.extend(round(cx).await?);
        made.answers = cx.sample(cx.config().samples).await?;
        if let Some(step) = made.steps.last_mut() {
            step.record.updates = made.answers.len();
        }
        Ok(())
    }

    async fn select(
        &self,
        cx: &IterationCx<'_>,
        _: &mut Iteration,
    ) -> Result<Option<usize>, Error> {
        Ok(round(cx).await?.map(|step| step.record.chosen))
    }

    /// The samples, and both orders of N matches.
    fn requests(&self, config: &TpoConfig) -> u64 {
        1 + 2 * u64::from(config.samples)
    }

    fn can_continue(&self) -> bool {
        true
    }

    fn selects_by_requests(&self) -> bool {
        true
    }
}

/// A knock-out of the champion and the newest answers; in the first round, of all.
async fn round(cx: &IterationCx<'_>) -> Result<Option<Step>, Error> {
    let candidates = cx.pool().candidates();
    let text = |position: usize| candidates.get(position).map(|one| one.text()).unwrap_or_default();
    let champion = cx.steps().last().map(|step| step.record.chosen);
    let last = cx.steps().last().map_or(0, |step| step.record.iteration);
    let newest = (0..candidates.len())
        .filter(|position| candidates.get(*position).is_some_and(|one| one.iteration >= last));
    let mut seen = HashSet::new();
    let entrants: Vec<usize> = champion
        .into_iter()
        .chain(newest)
        .filter(|position| seen.insert(text(*position)))
        .collect();
    let mut left = drawn(&entrants, entrants.len(), cx.seed().child("knock-out", 0));
    let judge = judge(cx)?;
    while left.len() > 1 {
        let matches = left.chunks(2).map(|pair| async {
            let [first, second] = pair else { return Ok(pair.first().copied()) };
            let (a, b) = (first.min(second), first.max(second));
            let verdicts = judge.compare(cx.query(), text(*a), text(*b)).await?;
            let lead: f64 = verdicts.iter().map(|verdict| verdict.share - 0.5).sum();
            Ok::<_, Error>(Some(if lead < 0.0 { *b } else { *a }))
        });
        // All end before the first failure is returned, so that no verdict that was delivered is lost.
        let winners = join_all(matches).await.into_iter().collect::<Result<Vec<_>, Error>>()?;
        left = winners.into_iter().flatten().collect();
    }
    let step = |winner: usize| {
        let others = entrants.iter().copied().filter(|one| *one != winner);
        Step::of(cx.iteration(), Comparison::new(winner, others), 0)
    };
    Ok(left.first().copied().map(step))
}

/// Feedback descent: the critic compares the champion with the best of the newest answers, once in each order; who wins
/// both is the champion. The judge's rationales since the last change of champion are the feedback of the update.
///
/// Lee et al., "Feedback Descent: Open-Ended Text Optimization via Pairwise Comparison" (arXiv:2511.07919). Changed:
/// the reward model names the first champion among N samples and the challenger among N proposals, the rationale of a
/// win is kept, and the best answer by the reward model is returned.
#[derive(Debug, Clone, Copy, Default)]
pub struct FeedbackDescent;

#[async_trait]
impl Method for FeedbackDescent {
    fn name(&self) -> String {
        "feedback-descent".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let last = cx.steps().last().map(|step| step.record.chosen);
        let Some(champion) = last.or_else(|| cx.pool().best()) else { return Ok(()) };
        let (comparison, rationales) = match challenger(cx, champion) {
            Some(challenger) => duel(cx, champion, challenger).await?,
            None => (Comparison::new(champion, []), Vec::new()),
        };
        let mut step = Step::of(cx.iteration(), comparison.clone(), 0);
        step.add_losses(rationales);
        made.ends.extend(step.losses.iter().cloned());
        // The memory reaches back to the step that made it the champion.
        let earlier = cx.steps().iter().rev();
        let earlier = earlier.take_while(|step| step.record.chosen == comparison.chosen);
        let mut memory: Vec<&Step> = earlier.collect();
        memory.reverse();
        let rationales = memory.into_iter().flat_map(|step| &step.losses).chain(&step.losses);
        let feedback: Vec<Feedback> = rationales.cloned().map(Feedback::from_variable).collect();
        let answers = match feedback.is_empty() {
            true => Ok(Vec::new()),
            false => {
                let chosen = cx.compare(0, &comparison, cx.seed()).await?;
                Descent.update(&chosen, &feedback, cx.config().samples, &mut step).await
            }
        };
        step.record.updates = answers.as_ref().map_or(0, Vec::len);
        made.steps.push(step);
        made.answers = answers?;
        Ok(())
    }

    fn requests(&self, _: &TpoConfig) -> u64 {
        3
    }
}

/// The best of the newest answers that has not met a champion yet, and says something else.
fn challenger(cx: &IterationCx<'_>, champion: usize) -> Option<usize> {
    let text = |position: usize| cx.pool().get(position).map(|one| one.text());
    let met = |position: &usize| {
        let mut records = cx.steps().iter().map(|step| &step.record);
        records.any(|record| record.chosen == *position || record.rejected.contains(position))
    };
    let mut newest = cx.pool().newest().into_iter();
    newest.find(|position| text(*position) != text(champion) && !met(position))
}

/// The comparison after a duel, the winner chosen, and the judge's rationales.
async fn duel(
    cx: &IterationCx<'_>,
    champion: usize,
    challenger: usize,
) -> Result<(Comparison, Vec<Variable>), Error> {
    let text = |position: usize| cx.pool().get(position).map(|one| one.text()).unwrap_or_default();
    let verdicts = judge(cx)?.compare(cx.query(), text(challenger), text(champion)).await?;
    let wins = !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.share > 0.5);
    let (winner, loser) = if wins { (challenger, champion) } else { (champion, challenger) };
    let rationales = verdicts
        .into_iter()
        .map(|verdict| Variable::constant(verdict.rationale, "rationale of a judge"));
    Ok((Comparison::new(winner, [loser]), rationales.collect()))
}
