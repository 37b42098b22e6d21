//! The texts that a parameter had, with what was said about them and what they scored, and draws from them.

use std::collections::VecDeque;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use textgrad_core::Seed;

use super::SampledMomentumBuilder;
use crate::optim::shown::RenderedFeedback;

/// A text with what was last said about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) rendered: RenderedFeedback,
    score: Option<f64>,
}

/// The history of one parameter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct History {
    /// How many proposals there were: the place of the next draw.
    pub(super) steps: u64,
    /// The text that was accepted last, and its score, until there is feedback on it.
    accepted: Option<(String, f64)>,
    entries: VecDeque<Entry>,
}

/// How bases are drawn.
#[derive(Debug, Clone, Copy, Setters)]
#[setters(generate_delegates(ty = "SampledMomentumBuilder", field = "draw"))]
pub(super) struct Draw {
    /// By how much a score must be higher for its text to be drawn e times as often, in units of the scores;
    /// above 0; default: [`SampledMomentum::DEFAULT_TEMPERATURE`](super::SampledMomentum::DEFAULT_TEMPERATURE).
    pub(super) temperature: f64,
    /// How many texts are drawn in each step; default: 1, and never less.
    pub(super) bases: usize,
    /// How many texts of each parameter are kept; default:
    /// [`SampledMomentum::DEFAULT_HISTORY`](super::SampledMomentum::DEFAULT_HISTORY), and never less than 1.
    #[setters(rename = "history")]
    pub(super) limit: usize,
}

impl History {
    /// Adds the feedback on the present text of the parameter, and draws the entries to start from. Returns them with
    /// the seed of this step.
    pub(super) fn draw(
        &mut self,
        text: &str,
        rendered: RenderedFeedback,
        score: Option<f64>,
        (draw, seed): (Draw, Seed),
    ) -> (Vec<Entry>, Seed) {
        let known = self.entries.iter().position(|entry| entry.text == text);
        let earlier = known.and_then(|known| self.entries.remove(known));
        // A score that was reported is of the text itself; that of an objective is of one batch.
        let reported = self.accepted.take_if(|(accepted, _)| accepted == text);
        let score = reported
            .map(|(_, score)| score)
            .or_else(|| earlier.and_then(|entry| entry.score))
            .or(score);
        self.entries.push_back(Entry { text: text.to_owned(), rendered, score });
        while self.entries.len() > draw.limit {
            self.entries.pop_front();
        }
        let seed = seed.child("step", self.steps);
        let positions = gumbel_top_k(&self.scores(), draw.temperature, draw.bases, seed);
        let drawn =
            positions.into_iter().filter_map(|position| self.entries.get(position).cloned());
        (drawn.collect(), seed)
    }

    /// The present text of the parameter has this score.
    pub(super) fn learn(&mut self, text: &str, score: f64) {
        match self.entries.iter_mut().find(|entry| entry.text == text) {
            Some(entry) => entry.score = Some(score),
            None => self.accepted = Some((text.to_owned(), score)),
        }
    }

    /// The scores of the entries; one that has none counts as the mean of those that have.
    fn scores(&self) -> Vec<f64> {
        let known: Vec<f64> = self.entries.iter().filter_map(|entry| entry.score).collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        self.entries.iter().map(|entry| entry.score.unwrap_or(mean)).collect()
    }
}

/// Draws `count` of these scores without replacement, the positions in the order of the draw: each draw takes a
/// score with a probability in proportion to exp(score / temperature) among those that are left.
///
/// The Gumbel-top-k trick: the largest of score / temperature plus independent Gumbel noise. Kool, van Hoof and
/// Welling, "Stochastic Beams and Where to Find Them", ICML 2019, arXiv:1903.06059, after Vieira (2014).
fn gumbel_top_k(scores: &[f64], temperature: f64, count: usize, seed: Seed) -> Vec<usize> {
    // Only differences matter: so a small temperature makes nothing infinite but what is hopeless.
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut keys: Vec<(f64, usize)> = (0_u64..)
        .zip(scores)
        .enumerate()
        .map(|(position, (number, score))| {
            ((score - highest) / temperature + noise(seed.child("entry", number)), position)
        })
        .collect();
    keys.sort_by(|(left, first), (right, second)| right.total_cmp(left).then(first.cmp(second)));
    keys.into_iter().take(count).map(|(_, position)| position).collect()
}

/// A draw from the standard Gumbel distribution.
fn noise(seed: Seed) -> f64 {
    // 53 bits, in the middle of their interval: neither 0 nor 1.
    let uniform = seed.unit() + 0.5 / (1_u64 << 53) as f64;
    -(-uniform.ln()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(scores: &[f64], temperature: f64, rank: usize) -> Vec<f64> {
        let mut counts = vec![0.0; scores.len()];
        for seed in 0..20_000 {
            let drawn =
                gumbel_top_k(scores, temperature, scores.len(), Seed::new(seed).child("x", 0));
            counts[drawn[rank]] += 1.0 / 20_000.0;
        }
        counts
    }

    fn close(left: &[f64], right: &[f64]) {
        assert!(left.iter().zip(right).all(|(l, r)| (l - r).abs() < 0.015), "{left:?} {right:?}");
    }

    #[test]
    fn shares_are_those_of_the_softmax_without_replacement() {
        let scores = [0.0, 0.1, 0.2];
        let weights = [1.0, 1.0_f64.exp(), 2.0_f64.exp()];
        let sum: f64 = weights.iter().sum();
        close(&shares(&scores, 0.1, 0), &weights.map(|weight| weight / sum));
        // The second draw: over which one was first.
        let second = |position: usize| -> f64 {
            let others = (0..3).filter(|other| *other != position);
            others.map(|o| weights[o] / sum * weights[position] / (sum - weights[o])).sum()
        };
        close(&shares(&scores, 0.1, 1), &[second(0), second(1), second(2)]);
        close(&shares(&scores, 1e9, 0), &[1.0 / 3.0; 3]);
    }

    #[test]
    fn nothing_is_drawn_twice_and_a_small_temperature_takes_the_best() {
        for seed in 0..200 {
            let mut drawn = gumbel_top_k(&[5.0, -1e300, 5.0, 1e300], 1e-300, 9, Seed::new(seed));
            assert_eq!(drawn[0], 3);
            drawn.sort_unstable();
            assert_eq!(drawn, [0, 1, 2, 3]);
        }
        assert!(gumbel_top_k(&[], 1.0, 3, Seed::new(0)).is_empty());
    }
}
