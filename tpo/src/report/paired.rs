//! Two scores for each query.

use serde::Serialize;

use super::stats::{Bootstrap, Interval};

/// What pairs of scores, a query's in one run and in another, say about the two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Pairs whose first score is higher.
    pub wins: usize,
    /// Pairs of equal scores.
    pub ties: usize,
    /// Pairs whose second score is higher.
    pub losses: usize,
    /// The share of wins, a tie counting half.
    pub win_rate: Interval,
    /// The first score less the second.
    pub difference: Interval,
}

impl Paired {
    /// What these pairs say; `None` if there are none. Intervals are paired: queries are drawn, not scores.
    #[must_use]
    pub fn of(pairs: &[(f64, f64)], bootstrap: &Bootstrap) -> Option<Self> {
        let won = |(a, b): &(f64, f64)| match a.total_cmp(b) {
            _ if a == b => 0.5,
            std::cmp::Ordering::Greater => 1.0,
            _ => 0.0,
        };
        let results: Vec<f64> = pairs.iter().map(won).collect();
        let count = |result: f64| results.iter().filter(|r| **r == result).count();
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        Some(Self {
            wins: count(1.0),
            ties: count(0.5),
            losses: count(0.0),
            win_rate: bootstrap.mean(&results)?,
            difference: bootstrap.mean(&differences)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wins_and_differences_by_hand() {
        let pairs = [(1.0, 0.0), (2.0, 2.0), (0.0, 4.0), (3.0, 1.0), (0.0, -0.0)];
        let paired = Paired::of(&pairs, &Bootstrap::default()).unwrap();
        assert_eq!((paired.wins, paired.ties, paired.losses), (2, 2, 1));
        assert!((paired.win_rate.mean - 0.6).abs() < 1e-12);
        assert!((paired.difference.mean + 0.2).abs() < 1e-12);
        assert!(paired.difference.low < -0.2 && paired.difference.high > -0.2);
        assert_eq!(Paired::of(&[], &Bootstrap::default()), None);
    }
}
