//! Feedback descent: a champion, a pairwise judge, and a memory of its rationales.

use async_trait::async_trait;
use textgrad_core::{Feedback, Variable};

use super::tournament::judge;
use crate::TpoConfig;
use crate::error::Error;
use crate::search::{Comparison, Descent, Iteration, IterationCx, Method, Step, Update};

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
        let mut step = Step::default();
        step.record.iteration = cx.iteration();
        step.record.chosen = comparison.chosen;
        step.record.rejected.clone_from(&comparison.rejected);
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
