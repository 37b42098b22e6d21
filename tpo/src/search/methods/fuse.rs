//! Answers fused into one: mixture of agents, recursive self-aggregation, and the prompt that they share.

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Seed, Variable};

use crate::error::Error;
use crate::prompts::FuseContext;
use crate::search::{Iteration, IterationCx, IterationRecord, Method, Step};

/// Answers to the query in one prompt, and notes on them: a request that asks for one answer, or for notes.
pub(super) async fn prompt(
    cx: &IterationCx<'_>,
    template: &'static str,
    answers: &[Variable],
    notes: Option<&Variable>,
) -> Result<Variable, Error> {
    let context = FuseContext {
        query: cx.query_variable().text().unwrap_or_default(),
        answers: answers.iter().filter_map(Variable::text).collect(),
        notes: notes.and_then(Variable::text),
    };
    let inputs = [("query", cx.query_variable())].into_iter();
    let inputs = inputs.chain(answers.iter().map(|answer| ("answer", answer)));
    let inputs = inputs.chain(notes.map(|notes| ("notes", notes)));
    let inputs = inputs.map(|(name, input)| (name, input.clone()));
    cx.prompt(template, &context, inputs).await
}

/// A step that made new answers of some of the pool.
pub(super) fn step(cx: &IterationCx<'_>, from: &[usize], updates: usize) -> Step {
    let (chosen, rejected) = match from {
        [first, others @ ..] => (*first, others.to_vec()),
        [] => (0, Vec::new()),
    };
    let iteration = cx.iteration();
    let record =
        IterationRecord { iteration, chosen, rejected, updates, ..IterationRecord::default() };
    Step { record, ..Step::default() }
}

/// Mixture of agents by one model: each iteration fuses the best K answers of the pool into N new ones.
///
/// Wang et al., "Mixture-of-Agents Enhances Large Language Model Capabilities" (arXiv:2406.04692), with samples of a
/// single model as Li et al. propose (arXiv:2502.00674). Changed: the reward model names the answers that are fused,
/// the answers stand in the user message, and the best of the pool is returned.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fuse;

#[async_trait]
impl Method for Fuse {
    fn name(&self) -> String {
        "fuse".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let mut from = cx.pairs().eligible();
        from.truncate(cx.config().fuse as usize);
        let answers = cx.shown(&from).await?;
        let prompt = prompt(cx, "fuse", &answers, None).await?;
        made.answers = cx.answer(&prompt, cx.config().samples, cx.seed().child("fuse", 0)).await?;
        made.steps.push(step(cx, &from, made.answers.len()));
        Ok(())
    }
}

/// Recursive self-aggregation: each iteration makes a new population of N, each member fused of K members of the last
/// one that are drawn at random, all different.
///
/// Venkatraman et al., "Recursive Self-Aggregation Unlocks Deep Thinking in Large Language Models" (arXiv:2509.26626),
/// whose defaults are N = 16, K = 4 and 9 iterations. Changed: the best of all populations by the reward model is
/// returned, in place of a vote or a member of the last one drawn at random.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rsa;

#[async_trait]
impl Method for Rsa {
    fn name(&self) -> String {
        "rsa".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let mut population = cx.pool().newest();
        // By their positions: the draw knows no scores.
        population.sort_unstable();
        let fused = (0..cx.config().samples).map(|slot| {
            let seed = cx.seed().child("slot", u64::from(slot));
            let from = drawn(&population, cx.config().fuse as usize, seed);
            async move {
                let answers = cx.shown(&from).await?;
                let prompt = prompt(cx, "fuse", &answers, None).await?;
                let answers = cx.answer(&prompt, 1, seed.child("fuse", 0)).await?;
                Ok::<_, Error>((step(cx, &from, answers.len()), answers))
            }
        });
        // All end before the first failure is returned, so that none that was delivered is lost.
        let mut outcome = Ok(());
        for fused in join_all(fused).await {
            match fused {
                Ok((step, answers)) => {
                    made.steps.push(step);
                    made.answers.extend(answers);
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// One for each member of the population.
    fn requests(&self, config: &crate::TpoConfig) -> u64 {
        u64::from(config.samples)
    }
}

/// So many members of a list, all different, in the order of the draw.
pub(super) fn drawn(members: &[usize], count: usize, seed: Seed) -> Vec<usize> {
    let mut left = members.to_vec();
    let draws = (0..count.min(members.len())).map(|draw| {
        let drawn = seed.child("draw", draw as u64).value() % left.len().max(1) as u64;
        left.swap_remove(drawn as usize)
    });
    draws.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_drawn_without_replacement_and_all_of_them_now_and_then() {
        let members = [3, 5, 8, 9];
        let mut first = std::collections::BTreeMap::<usize, u32>::new();
        for seed in 0..400 {
            let found = drawn(&members, 3, Seed::new(seed));
            let different: std::collections::BTreeSet<_> = found.iter().collect();
            assert_eq!((found.len(), different.len()), (3, 3), "{found:?}");
            *first.entry(found[0]).or_default() += 1;
        }
        assert!(
            first.len() == 4 && first.values().all(|count| (60..140).contains(count)),
            "{first:?}"
        );
        assert_eq!(drawn(&members, 9, Seed::new(1)).len(), 4);
        assert!(drawn(&[], 3, Seed::new(1)).is_empty());
    }
}
