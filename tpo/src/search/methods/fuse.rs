//! Answers fused into one: mixture of agents, recursive self-aggregation, textual self-attention, and draft, distil,
//! refine.

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Seed, Variable};

use crate::TpoConfig;
use crate::error::Error;
use crate::prompts::FuseContext;
use crate::search::{Comparison, Iteration, IterationCx, Method, Step};

/// Answers to the query in one prompt, and notes on them: a request that asks for one answer, or for notes.
async fn prompt(
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
fn step(cx: &IterationCx<'_>, from: &[usize], updates: usize) -> Step {
    let (chosen, others) = from.split_first().unwrap_or((&0, &[]));
    Step::of(cx.iteration(), Comparison::new(*chosen, others.iter().copied()), updates)
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
    fn requests(&self, config: &TpoConfig) -> u64 {
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

/// Notes of the critic on answers of the pool, and N new answers by them.
async fn noted(
    cx: &IterationCx<'_>,
    made: &mut Iteration,
    template: &'static str,
    from: &[usize],
    keeps_answers: bool,
) -> Result<(), Error> {
    let answers = cx.shown(from).await?;
    let request = prompt(cx, template, &answers, None).await?;
    let notes = cx.analyse(&request, "notes on answers", cx.seed().child("notes", 0)).await?;
    let mut step = step(cx, from, 0);
    step.add_losses([notes.clone()]);
    made.ends.push(notes.clone());
    made.steps.push(step);
    let answers: &[Variable] = if keeps_answers { &answers } else { &[] };
    let request = prompt(cx, "fuse", answers, Some(&notes)).await?;
    made.answers = cx.answer(&request, cx.config().samples, cx.seed().child("fuse", 0)).await?;
    if let Some(step) = made.steps.last_mut() {
        step.record.updates = made.answers.len();
    }
    Ok(())
}

/// Textual self-attention: the critic says which parts of the best K answers matter for the query, and N new answers
/// are fused by that.
///
/// After "TSAN" (arXiv:2511.06682), whose prompts, sizes and code are not public: the query, the candidates
/// and the critic's text stand for its queries, keys and values, and for the weights between them. Loss and gradient
/// of the method are left out, so that an iteration takes two requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelfAttention;

#[async_trait]
impl Method for SelfAttention {
    fn name(&self) -> String {
        "tsan".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let mut from = cx.pairs().eligible();
        from.truncate(cx.config().fuse as usize);
        noted(cx, made, "attend", &from, true).await
    }

    fn requests(&self, _: &TpoConfig) -> u64 {
        2
    }
}

/// Parallel drafts, distilled and refined: the critic distils the drafts of the last round into notes, and N new
/// drafts are written from the query and these notes alone.
///
/// Madaan et al., "Rethinking Thinking Tokens: LLMs as Improvement Operators" (arXiv:2510.01123), with the distiller
/// that summarises. Changed: each round has N drafts, also the last, and the best of all by the reward model is
/// returned; the length of the notes is bounded by the critic's `max_tokens`.
#[derive(Debug, Clone, Copy, Default)]
pub struct DraftDistilRefine;

#[async_trait]
impl Method for DraftDistilRefine {
    fn name(&self) -> String {
        "pdr".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let mut from = cx.pool().newest();
        // As they were drawn: no score enters the notes.
        from.sort_unstable();
        noted(cx, made, "distill", &from, false).await
    }

    fn requests(&self, _: &TpoConfig) -> u64 {
        2
    }
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
