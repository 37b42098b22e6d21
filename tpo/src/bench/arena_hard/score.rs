//! From judgments to a score.

use std::num::NonZeroUsize;

use textgrad_core::Seed;

use super::judgment::{Judgment, Verdict};
use crate::stats::quantile;

/// How many times a strong verdict counts.
const WEIGHT: usize = 3;

/// How often the verdicts are drawn anew for the interval.
pub(super) const ROUNDS: u64 = 100;

/// How a model does against a baseline, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The score as published: the mean over the bootstrap samples.
    pub score: f64,
    /// The 5th percentile of the samples.
    pub lower: f64,
    /// The 95th percentile.
    pub upper: f64,
    /// The mean of the verdicts themselves, which does not depend on the seed.
    pub mean: f64,
    /// Questions that count.
    pub judged: usize,
    /// Questions that were left out because a game had no verdict.
    pub dropped: usize,
}

/// The published aggregation without style control: of each question both verdicts for the model, strong ones
/// three times; their mean over 100 bootstrap samples of all verdicts, with the 5th and 95th percentile. None
/// if no question counts. Judgments of several categories are to be separated by the caller, as the official
/// program does.
#[must_use]
pub fn leaderboard(judgments: &[Judgment], seed: Seed) -> Option<Score> {
    let counted: Vec<[Verdict; 2]> = judgments.iter().filter_map(Judgment::verdicts).collect();
    let points: Vec<f64> = counted.iter().flat_map(points).collect();
    let size = NonZeroUsize::new(points.len())?;
    let mean_of = |points: &mut dyn Iterator<Item = f64>| points.sum::<f64>() / size.get() as f64;
    let sample = |round: u64| {
        let drawn = draws(seed, round, size.get());
        mean_of(&mut drawn.filter_map(|place| points.get(place).copied()))
    };
    let mut samples: Vec<f64> = (0..ROUNDS).map(sample).collect();
    samples.sort_by(f64::total_cmp);
    Some(Score {
        score: 100.0 * samples.iter().sum::<f64>() / ROUNDS as f64,
        lower: 100.0 * quantile(&samples, 0.05)?,
        upper: 100.0 * quantile(&samples, 0.95)?,
        mean: 100.0 * mean_of(&mut points.iter().copied()),
        judged: counted.len(),
        dropped: judgments.len() - counted.len(),
    })
}

/// The places of a bootstrap sample: as many as there are, drawn with replacement.
pub(super) fn draws(seed: Seed, round: u64, size: usize) -> impl Iterator<Item = usize> {
    let round = seed.child("bootstrap", round);
    let draw = move |place: usize| {
        let drawn = round.child("draw", place as u64).value().checked_rem(size as u64)?;
        usize::try_from(drawn).ok()
    };
    (0..size).filter_map(draw)
}

/// What the model got in both games: it is A in the second and B in the first.
pub(super) fn points([first, second]: &[Verdict; 2]) -> Vec<f64> {
    let of = |verdict: Verdict| {
        let (points, strong) = verdict.points();
        std::iter::repeat_n(points, if strong { WEIGHT } else { 1 })
    };
    of(*second).chain(of(*first).map(|points| 1.0 - points)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::judgment::Game;
    use super::*;

    fn judgment(first: &str, second: &str) -> Judgment {
        Judgment {
            uid: "u".to_owned(),
            category: "hard_prompt".to_owned(),
            judge: "j".to_owned(),
            model: "m".to_owned(),
            baseline: "b".to_owned(),
            games: [first, second].map(|label| Some(Game::new(&[], format!("[[{label}]]")))),
        }
    }

    #[test]
    fn strong_verdicts_count_three_times_and_positions_are_swapped() {
        // The model is B in the first game and A in the second: won strongly, lost weakly.
        assert_eq!(points(&judgment("B>>A", "B>A").verdicts().unwrap()), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!(points(&judgment("A=B", "A>>B").verdicts().unwrap()), [1.0, 1.0, 1.0, 0.5]);
        let score = leaderboard(&[judgment("B>>A", "B>A")], Seed::new(1)).unwrap();
        assert!((score.mean - 75.0).abs() < 1e-9);
    }

    #[test]
    fn a_question_without_both_verdicts_is_left_out() {
        let judged = [judgment("A>B", "A>B"), judgment("A>B", "none"), judgment("", "A>>B")];
        let score = leaderboard(&judged, Seed::new(1)).unwrap();
        assert_eq!((score.judged, score.dropped), (1, 2));
        assert!((score.mean - 50.0).abs() < 1e-9);
        let mut unplayed = judgment("A>B", "A>B");
        unplayed.games[1] = None;
        assert_eq!(leaderboard(&[unplayed], Seed::new(1)), None);
    }

    #[test]
    fn the_interval_is_that_of_the_seed_and_holds_the_mean() {
        let judged: Vec<Judgment> = (0..40)
            .map(|n| if n % 3 == 0 { judgment("A>B", "B>A") } else { judgment("B>A", "A>B") })
            .collect();
        let score = leaderboard(&judged, Seed::new(1)).unwrap();
        assert_eq!(score, leaderboard(&judged, Seed::new(1)).unwrap());
        assert_ne!(score, leaderboard(&judged, Seed::new(2)).unwrap());
        assert!(score.lower < score.mean && score.mean < score.upper, "{score:?}");
        // The standard error of 80 verdicts of which two thirds are won is 5.3 percent.
        assert!((score.upper - score.lower - 2.0 * 1.645 * 5.3).abs() < 5.0, "{score:?}");
        let sure = leaderboard(&[judgment("B>A", "A>B")], Seed::new(1)).unwrap();
        assert_eq!((sure.lower, sure.score, sure.upper), (100.0, 100.0, 100.0));
    }

    #[test]
    fn quantiles_are_linear_between_neighbours() {
        assert!((quantile(&[0.0, 1.0, 2.0, 3.0], 0.95).unwrap() - 2.85).abs() < 1e-9);
        assert_eq!(quantile(&[7.0], 0.05), Some(7.0));
    }
}
