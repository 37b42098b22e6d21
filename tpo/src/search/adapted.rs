//! Selections of pairs that change what another one selects.

use std::sync::Arc;

use textgrad_core::Seed;

use super::pairs::{Comparison, PairCx, PairSelection};
use super::pool::Candidate;

/// Changes what another selection selects: the modes that differ from the paper's method in their pairs.
#[derive(Debug, Clone)]
pub(crate) struct Adapted {
    pub(crate) inner: Arc<dyn PairSelection>,
    pub(crate) how: Adaption,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Adaption {
    /// Without rejected answers.
    Alone,
    /// Each chosen answer among at most so many, spread over the ranks.
    Ranked(u32),
    /// As if the worst score were the best.
    Reversed,
    /// As if scores were drawn at random, by a seed and the texts.
    Random(u64),
}

impl PairSelection for Adapted {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn size(&self, samples: u32) -> (u64, u64) {
        let (comparisons, rejected) = self.inner.size(samples);
        match self.how {
            // One loss for each, whatever it is about.
            Adaption::Alone | Adaption::Ranked(_) => (comparisons, comparisons),
            Adaption::Reversed | Adaption::Random(_) => (comparisons, rejected),
        }
    }

    fn select(&self, cx: &PairCx<'_>) -> Vec<Comparison> {
        let rescored = |score: &dyn Fn(&Candidate) -> f64| {
            let mut pool = cx.pool().clone();
            pool.map_scores(score);
            self.inner.select(&cx.with_pool(&pool))
        };
        match self.how {
            Adaption::Reversed => rescored(&|candidate| -candidate.score),
            Adaption::Random(seed) => {
                rescored(&|candidate| Seed::new(seed).child(candidate.text(), 0).unit())
            }
            Adaption::Alone => {
                let selected = self.inner.select(cx).into_iter();
                selected.map(|comparison| Comparison::new(comparison.chosen, [])).collect()
            }
            Adaption::Ranked(samples) => {
                let selected = self.inner.select(cx).into_iter();
                let ranked = |chosen| Comparison::new(chosen, ranked_with(cx, chosen, samples));
                selected.map(|comparison| ranked(comparison.chosen)).collect()
            }
        }
    }
}

/// The answers that one is ranked with: all others of the pool, or N - 1 of them, spread evenly over the
/// ranks, the worst among them. Equal texts stand once.
fn ranked_with(cx: &PairCx<'_>, chosen: usize, samples: u32) -> Vec<usize> {
    let text = |position: usize| cx.pool().get(position).map(Candidate::text);
    let mut seen = vec![text(chosen)];
    let mut others = cx.ranked();
    others.retain(|position| {
        let new = !seen.contains(&text(*position));
        seen.push(text(*position));
        new
    });
    let wanted = (samples as usize).saturating_sub(1).max(1);
    let Some(last) = others.len().checked_sub(1) else { return others };
    if others.len() <= wanted {
        return others;
    }
    // From the worst upwards, so that one alone is the worst.
    let index = |step: usize| last - step * last / wanted.saturating_sub(1).max(1);
    (0..wanted).rev().filter_map(|step| others.get(index(step)).copied()).collect()
}
