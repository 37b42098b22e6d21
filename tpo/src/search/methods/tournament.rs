//! Pairwise knock-out.

use async_trait::async_trait;
use futures_util::future::join_all;

use super::Resample;
use super::fuse::drawn;
use crate::error::Error;
use crate::reward::JudgeReward;
use crate::search::{Iteration, IterationCx, Method};

/// The critic as a judge of two answers.
pub(super) fn judge(cx: &IterationCx<'_>) -> Result<JudgeReward, Error> {
    JudgeReward::builder(cx.critic().clone())
        .pairwise()
        .sampling(cx.config().critic.clone())
        .seed(cx.seed().child("judge", 0))
        .prompts(cx.prompts().clone())
        .unreadable(textgrad_ops::score::Unreadable::Worst)
        .build()
}

/// Best of N(D + 1) by a knock-out: more answers in each iteration; at the end all that differ meet in pairs, in an
/// order that the seed draws, and the critic says which of two is better, once in each order. A tie goes to the
/// earlier answer. The last one left is returned.
///
/// Chen et al., "Simple and Provable Scaling Laws for the Test-Time Compute of Large Language Models"
/// (arXiv:2411.19477), with one comparison in each order. The reward model has no say in what is returned: its score
/// of that answer is a held-out one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tournament;

#[async_trait]
impl Method for Tournament {
    fn name(&self) -> String {
        "tournament".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        Resample.iterate(cx, made).await
    }

    fn can_continue(&self) -> bool {
        true
    }

    async fn select(
        &self,
        cx: &IterationCx<'_>,
        _: &mut Iteration,
    ) -> Result<Option<usize>, Error> {
        let candidates = cx.pool().candidates();
        let text =
            |position: usize| candidates.get(position).map(|one| one.text()).unwrap_or_default();
        let mut seen = std::collections::HashSet::new();
        let different: Vec<usize> =
            (0..candidates.len()).filter(|position| seen.insert(text(*position))).collect();
        let mut left = drawn(&different, different.len(), cx.seed().child("knock-out", 0));
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
        Ok(left.first().copied())
    }
}
