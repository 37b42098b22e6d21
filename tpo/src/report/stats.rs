//! Statistics: bootstrap intervals, paired differences, expected best of several.

use serde::Serialize;
use textgrad_core::Seed;

pub use crate::stats::{deviation, mean, quantile};

/// A mean with the interval in which it may be expected.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How intervals are found: the percentile bootstrap (Efron, 1979) over queries. Values are drawn with
/// replacement, as many as there are, and the interval holds the middle of the means so found. Draws come from
/// the seed alone: the same values have the same interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// How often the values are drawn anew; at least 1.
    pub resamples: u32,
    /// The share of the means that the interval holds, above 0 and below 1.
    pub level: f64,
    /// The seed of the draws.
    pub seed: Seed,
}

impl Default for Bootstrap {
    /// 1000 times, 95 %.
    fn default() -> Self {
        Self { resamples: 1000, level: 0.95, seed: Seed::new(7) }
    }
}

impl Bootstrap {
    /// The mean of values with its interval; `None` if there are none. Give the differences of pairs for a
    /// paired interval.
    #[must_use]
    pub fn mean(&self, values: &[f64]) -> Option<Interval> {
        let mean = mean(values)?;
        let mut place = places(self.seed.child("bootstrap", values.len() as u64));
        let means: Vec<f64> = (0..self.resamples.max(1))
            .map(|_| {
                let drawn = (0..values.len()).filter_map(|_| values.get(place(values.len())));
                drawn.sum::<f64>() / values.len() as f64
            })
            .collect();
        Some(self.interval(mean, means))
    }

    /// The mean of values that are crossed, a row for each repetition and a column for each query, with its
    /// interval over both: rows and columns are drawn, each with replacement (Owen, "The pigeonhole bootstrap",
    /// 2007, which is conservative). Missing values are passed over. With one row it is [`mean`](Self::mean).
    #[must_use]
    pub fn crossed(&self, rows: &[&[Option<f64>]]) -> Option<Interval> {
        let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let known: Vec<f64> = rows.iter().flat_map(|row| row.iter()).flatten().copied().collect();
        if let [_] = rows {
            return self.mean(&known);
        }
        let overall = mean(&known)?;
        let mut place = places(self.seed.child("crossed", known.len() as u64));
        let mut means: Vec<f64> = Vec::new();
        for _ in 0..self.resamples.max(1) {
            let drawn: Vec<usize> = (0..columns).map(|_| place(columns)).collect();
            let (mut sum, mut count) = (0.0, 0_u64);
            for _ in 0..rows.len() {
                let Some(row) = rows.get(place(rows.len())) else { continue };
                for value in drawn.iter().filter_map(|column| *row.get(*column)?) {
                    sum += value;
                    count += 1;
                }
            }
            // A draw of nothing but what is missing says nothing.
            means.extend((count > 0).then(|| sum / count as f64));
        }
        Some(self.interval(overall, means))
    }

    /// The interval of a mean by those of the draws.
    fn interval(&self, mean: f64, mut means: Vec<f64>) -> Interval {
        means.sort_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        Interval {
            mean,
            low: quantile(&means, tail).unwrap_or(mean),
            high: quantile(&means, 1.0 - tail).unwrap_or(mean),
        }
    }
}

/// Draws places below a count, which may change from draw to draw.
fn places(seed: Seed) -> impl FnMut(usize) -> usize {
    let mut draws = 0;
    move |count| {
        let place = seed.draw(draws).below(count);
        draws += 1;
        place
    }
}

/// The expected maximum of `k` of these values, drawn without replacement: what best-of-k gives, estimated
/// without bias from n >= k answers. It is the sum over the sorted values of `C(i-1, k-1) / C(n, k)` times the
/// i-th (as the estimator of pass@k in Chen et al., arXiv 2107.03374, for scores). `None` if there are fewer
/// than `k` values or `k` is 0.
///
/// # Examples
/// ```
/// use tpo::report::expected_max;
///
/// // Pairs of 1, 2, 4 have the maxima 2, 4, 4.
/// let best_of_two = expected_max(&[4.0, 1.0, 2.0], 2).unwrap_or_default();
/// assert!((best_of_two - 10.0 / 3.0).abs() < 1e-12);
/// assert_eq!(expected_max(&[4.0, 1.0, 2.0], 4), None);
/// ```
#[must_use]
pub fn expected_max(values: &[f64], k: usize) -> Option<f64> {
    let n = values.len();
    if k == 0 || k > n {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    // The chance that the i-th best, from 0, is the best of the k: from C(n-1-i, k-1) / C(n, k), each from the
    // one before, so that nothing overflows.
    let mut chance = k as f64 / n as f64;
    let mut sum = 0.0;
    for (i, value) in sorted.iter().enumerate().take(n - k + 1) {
        sum += chance * value;
        let left = n - 1 - i;
        if left > 0 {
            chance *= (left + 1 - k) as f64 / left as f64;
        }
    }
    Some(sum)
}

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
    /// The mean difference: the first score minus the second.
    pub difference: Interval,
}

impl Paired {
    /// The number of pairs.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.wins + self.ties + self.losses
    }

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
    fn figures_by_hand() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
        assert_eq!(deviation(&[1.0, 2.0, 6.0]), Some(7.0_f64.sqrt()));
        assert_eq!((mean(&[]), deviation(&[1.0]), quantile(&[], 0.5)), (None, None, None));
        let sorted = [0.0, 1.0, 4.0];
        let quantiles = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&sorted, share).unwrap());
        assert_eq!(quantiles, [0.0, 0.5, 1.0, 2.5, 4.0]);
    }

    #[test]
    fn the_expected_maximum_is_that_over_all_choices() {
        let values = [0.5, -1.0, 3.25, 3.25, 2.0, -7.5, 0.0];
        for k in 1..=values.len() {
            let (mut sum, mut count) = (0.0, 0_u32);
            for set in 0..1_u32 << values.len() {
                if set.count_ones() as usize == k {
                    let chosen = (0..values.len()).filter(|i| set & (1 << i) != 0);
                    sum += chosen.map(|i| values[i]).fold(f64::MIN, f64::max);
                    count += 1;
                }
            }
            let found = expected_max(&values, k).unwrap();
            assert!((found - sum / f64::from(count)).abs() < 1e-12, "{k}: {found}");
        }
        assert_eq!(expected_max(&values, 0), None);
        assert_eq!(expected_max(&vec![1.0; 2000], 1000).map(f64::round), Some(1.0));
    }

    #[test]
    fn a_crossed_interval_has_the_spread_of_rows_and_of_columns() {
        let bootstrap = Bootstrap::default();
        let columns: Vec<Option<f64>> = (0..400).map(|i| Some(f64::from(i % 20))).collect();
        // Rows that say the same: only the columns are drawn.
        let alike = bootstrap.crossed(&[&columns, &columns, &columns]).unwrap();
        assert!((0.5..0.63).contains(&(alike.high - 9.5)), "{alike:?}");
        // Columns that say the same: of four rows, 0 0 4 4, with sd 2 / sqrt(4) = 1.
        let flat = |value: f64| vec![Some(value); 50];
        let (low, high) = (flat(0.0), flat(4.0));
        let rows = bootstrap.crossed(&[&low, &low, &high, &high]).unwrap();
        assert_eq!((rows.mean, rows.low, rows.high), (2.0, 0.0, 4.0));
        let one = [Some(1.0), None, Some(4.0)];
        assert_eq!(bootstrap.crossed(&[&one]), bootstrap.mean(&[1.0, 4.0]));
        assert_eq!(bootstrap.crossed(&[&one, &[None; 3]]).unwrap().mean, 2.5);
        assert_eq!((bootstrap.crossed(&[]), bootstrap.crossed(&[&[None]])), (None, None));
    }

    #[test]
    fn an_interval_holds_what_it_says() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let bootstrap = Bootstrap::default();
        let interval = bootstrap.mean(&values).unwrap();
        // The standard error is sd / sqrt(n) = 5.774 / 20 = 0.289, so 95 % is 1.96 times that to each side.
        assert!((interval.mean - 9.5).abs() < 1e-12);
        for end in [interval.high - 9.5, 9.5 - interval.low] {
            assert!((0.5..0.63).contains(&end), "{interval:?}");
        }
        assert_eq!(bootstrap.mean(&values), Some(interval), "the same every time");
        let other = Bootstrap { seed: Seed::new(8), ..bootstrap };
        assert_ne!(other.mean(&values), Some(interval));
        assert_eq!(bootstrap.mean(&[2.0]).map(|i| (i.low, i.high)), Some((2.0, 2.0)));
        assert_eq!(bootstrap.mean(&[]), None);
    }
}

#[cfg(test)]
mod paired_tests {
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
