//! Headroom of a data set: what best-of-N samples say about a search before it is paid for.

use serde::Serialize;

use super::stats::{Bootstrap, Interval, deviation, expected_max, mean};

/// The quantiles of the normal distribution for a two-sided test at 5 %, and for a power of 80 %.
const Z_TEST: f64 = 1.959_964;
const Z_POWER: f64 = 0.841_621;

/// Below this number of queries, the figures do not support conclusions.
const MIN_QUERIES: usize = 30;

/// The scores of the samples of one query, in the order in which they were drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SampleScores {
    /// The scores.
    pub scores: Vec<f64>,
    /// The scores of a second, independent scoring of the same samples; as many, or none.
    pub again: Vec<f64>,
}

/// What samples without a search say about the gain that a search can have, and about the queries that it takes to
/// see it.
///
/// # Examples
/// ```
/// use tpo::report::{Bootstrap, Headroom, SampleScores};
///
/// let query = |scores: [f64; 4]| SampleScores { scores: scores.to_vec(), again: Vec::new() };
/// let queries = [query([1.0, 2.0, 3.0, 4.0]), query([5.0, 5.0, 5.0, 5.0])];
/// let headroom = Headroom::of(&queries, &Bootstrap::default()).expect("two queries with samples");
/// assert_eq!(headroom.mean.mean, 3.75);
/// assert_eq!(headroom.best.iter().map(|best| best.samples).collect::<Vec<_>>(), [1, 2, 4]);
/// assert_eq!(headroom.best[2].reward.mean, 4.5);
/// assert_eq!(headroom.without_spread, 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Headroom {
    /// Queries with at least two samples: only these count.
    pub queries: usize,
    /// The number of samples of the query that has the fewest.
    pub samples: usize,
    /// The mean over queries of the mean score of their samples.
    pub mean: Interval,
    /// The expected best of N samples, for N = 1, 2, 4 and so on, and for all samples.
    pub best: Vec<BestOf>,
    /// The share of queries whose samples all have the same score: a search cannot tell their answers apart.
    pub without_spread: f64,
    /// The standard deviation of scores within a query: the root of the mean variance.
    pub spread: f64,
    /// The noise of the scores; `None` without a second scoring.
    pub noise: Option<Noise>,
    /// The standard deviation over queries of the difference between two repetitions of best-of-N, each with half of
    /// the samples. The difference between two methods varies at least as much.
    pub difference: f64,
}

/// The expected best of a number of samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestOf {
    /// The number of samples.
    pub samples: usize,
    /// The expected best score, as [`expected_max`] estimates it.
    pub reward: Interval,
    /// The same above the mean of the samples, paired by query.
    pub gain: Interval,
}

/// The noise of scores, from two scorings of the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Noise {
    /// The standard deviation of the scores of one sample: by the variance of the differences between both scorings
    /// within a query, of which each has half (parallel tests; Lord and Novick, "Statistical Theories of Mental Test
    /// Scores", 1968).
    pub deviation: f64,
    /// The share of the variance within a query that this noise explains, from 0 to 1; 0 without any variance.
    pub share: f64,
    /// How far the sample that the first scoring prefers is above the mean, by the second scoring: the gain of the
    /// best of all samples without the part that is luck of the first scoring.
    pub gain: Interval,
}

impl Headroom {
    /// The headroom by samples of queries. `None` if no query has two samples.
    #[must_use]
    pub fn of(queries: &[SampleScores], bootstrap: &Bootstrap) -> Option<Self> {
        let queries: Vec<&SampleScores> =
            queries.iter().filter(|query| query.scores.len() > 1).collect();
        let samples = queries.iter().map(|query| query.scores.len()).min()?;
        let each = |number: &dyn Fn(&SampleScores) -> Option<f64>| -> Vec<f64> {
            queries.iter().filter_map(|query| number(query)).collect()
        };
        let best = sizes(samples).into_iter().filter_map(|size| {
            let best = |query: &SampleScores| expected_max(&query.scores, size);
            let reward = bootstrap.mean(&each(&best))?;
            let gain = each(&|query| above_mean(best(query)?, &query.scores));
            Some(BestOf { samples: size, reward, gain: bootstrap.mean(&gain)? })
        });
        let best: Vec<BestOf> = best.collect();
        let is_flat = |query: &&&SampleScores| {
            query.scores.first().is_some_and(|first| query.scores.iter().all(|one| one == first))
        };
        let variance = mean(&each(&|query| Some(deviation(&query.scores)?.powi(2))))?;
        let halves = each(&|query| {
            let (first, second) = query.scores.split_at_checked(query.scores.len() / 2)?;
            let second = second.get(..first.len())?;
            Some((highest(first)? - highest(second)?).powi(2))
        });
        Some(Self {
            queries: queries.len(),
            samples,
            mean: bootstrap.mean(&each(&|query| mean(&query.scores)))?,
            best,
            without_spread: queries.iter().filter(is_flat).count() as f64 / queries.len() as f64,
            spread: variance.sqrt(),
            noise: Noise::of(&queries, bootstrap),
            difference: mean(&halves)?.sqrt(),
        })
    }

    /// The gain of the best of all samples over their mean.
    #[must_use]
    pub fn gain(&self) -> Option<Interval> {
        self.best.last().map(|best| best.gain)
    }

    /// The number of queries that shows a difference between two methods with a probability of 80 %, by a paired
    /// two-sided t-test at 5 %: `((z(0.975) + z(0.8)) s / difference)^2 + z(0.975)^2 / 2`, where s is
    /// [`difference`](Self::difference) (Guenther, "Sample Size Formulas for Normal Theory T Tests", The American
    /// Statistician 35, 1981). It is a lower bound: the effect of a method varies over queries too. `None` for a
    /// difference that is not above 0.
    #[must_use]
    pub fn queries_for(&self, difference: f64) -> Option<u64> {
        let ratio = (Z_TEST + Z_POWER) * self.difference / difference;
        let queries = (ratio.powi(2) + Z_TEST.powi(2) / 2.0).ceil();
        // Two queries are the fewest that have a deviation.
        (difference > 0.0 && queries.is_finite()).then(|| (queries as u64).max(2))
    }

    /// The smallest difference that so many queries show with a probability of 80 %; the inverse of
    /// [`queries_for`](Self::queries_for). `None` for too few queries.
    #[must_use]
    pub fn smallest_difference(&self, queries: usize) -> Option<f64> {
        let queries = queries as f64 - Z_TEST.powi(2) / 2.0;
        (queries > 0.0).then(|| (Z_TEST + Z_POWER) * self.difference / queries.sqrt())
    }

    /// What speaks against a search on this data, in sentences.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.queries < MIN_QUERIES {
            warnings.push(format!(
                "{} queries are too few: fewer than {MIN_QUERIES} do not support conclusions",
                self.queries
            ));
        }
        if self.gain().is_none_or(|gain| gain.low <= 0.0) {
            warnings.push("there is nothing to gain: the best sample is no better".to_owned());
        }
        if self.without_spread > 0.5 {
            warnings.push("most queries have samples of equal scores only".to_owned());
        }
        if self.noise.is_some_and(|noise| noise.share > 0.5) {
            let advice = "a judge with votes=5 or expected=true has less";
            warnings.push(format!("most of the spread is noise of the judge; {advice}"));
        }
        warnings
    }
}

impl Noise {
    /// None unless each query was scored twice.
    fn of(queries: &[&SampleScores], bootstrap: &Bootstrap) -> Option<Self> {
        let mut noise = Vec::new();
        let mut variance = Vec::new();
        let mut gains = Vec::new();
        for SampleScores { scores, again } in queries.iter().copied() {
            if again.len() != scores.len() {
                return None;
            }
            let pairs = || scores.iter().zip(again);
            let differences: Vec<f64> = pairs().map(|(one, other)| one - other).collect();
            noise.push(deviation(&differences)?.powi(2) / 2.0);
            variance.push((deviation(scores)?.powi(2) + deviation(again)?.powi(2)) / 2.0);
            let (_, preferred) = pairs().rev().max_by(|a, b| a.0.total_cmp(b.0))?;
            gains.push(above_mean(*preferred, again)?);
        }
        let (noise, variance) = (mean(&noise)?, mean(&variance)?);
        let share = if variance > 0.0 { (noise / variance).min(1.0) } else { 0.0 };
        Some(Self { deviation: noise.sqrt(), share, gain: bootstrap.mean(&gains)? })
    }
}

/// How far a value is above the mean of scores: 0 where the difference is within the rounding of the two.
fn above_mean(value: f64, scores: &[f64]) -> Option<f64> {
    let largest = scores.iter().fold(value.abs(), |largest, score| largest.max(score.abs()));
    let rounding = largest * f64::EPSILON * scores.len() as f64;
    let difference = value - mean(scores)?;
    Some(if difference.abs() <= rounding { 0.0 } else { difference })
}

fn highest(scores: &[f64]) -> Option<f64> {
    scores.iter().copied().max_by(f64::total_cmp)
}

/// Powers of two below a number, and the number.
fn sizes(most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1_usize), |size| size.checked_mul(2));
    powers.take_while(|size| *size < most).chain([most]).collect()
}

#[cfg(test)]
mod tests {
    use textgrad_core::Seed;

    use super::*;

    fn query(scores: &[f64], again: &[f64]) -> SampleScores {
        SampleScores { scores: scores.to_vec(), again: again.to_vec() }
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "expected {expected}, got {found}");
    }

    #[test]
    fn figures_are_those_computed_by_hand() {
        let queries = [
            query(&[1.0, 3.0, 2.0, 6.0], &[2.0, 3.0, 1.0, 4.0]),
            query(&[0.0; 4], &[0.0; 4]),
            // One sample says nothing about a spread.
            query(&[9.0], &[9.0]),
        ];
        let found = Headroom::of(&queries, &Bootstrap::default()).unwrap();
        assert_eq!((found.queries, found.samples), (2, 4));
        close(found.mean.mean, 1.5);
        let sizes: Vec<usize> = found.best.iter().map(|best| best.samples).collect();
        assert_eq!(sizes, [1, 2, 4]);
        // The pairs of 1, 2, 3, 6 have the maxima 2, 3, 6, 3, 6, 6.
        close(found.best[1].reward.mean, 26.0 / 6.0 / 2.0);
        close(found.best[2].gain.mean, 3.0 / 2.0);
        close(found.without_spread, 0.5);
        // The variance of 1, 3, 2, 6 is 14/3.
        close(found.spread, (14.0_f64 / 3.0 / 2.0).sqrt());
        // Best of the halves: 3 and 6, and 0 and 0.
        close(found.difference, (9.0_f64 / 2.0).sqrt());
        let noise = found.noise.unwrap();
        // Differences -1, 0, 1, 2 have the variance 5/3, of which each scoring has half.
        close(noise.deviation, (5.0_f64 / 3.0 / 2.0 / 2.0).sqrt());
        // The variance of 2, 3, 1, 4 is 5/3.
        close(noise.share, (5.0 / 6.0) / ((14.0 / 3.0 + 5.0 / 3.0) / 2.0));
        // 4 by the second scoring, above 2.5.
        close(noise.gain.mean, 1.5 / 2.0);
        assert!(Headroom::of(&queries[2..], &Bootstrap::default()).is_none());
    }

    #[test]
    fn what_gains_nothing_gains_exactly_nothing() {
        let scores = [[0.1, 0.7, 0.3], [4.1, 4.1, 4.1], [1e6 + 0.1, 0.2, 0.3]];
        let queries = scores.map(|scores| query(&scores, &[0.1, 0.1, 0.1]));
        let none = Interval { mean: 0.0, low: 0.0, high: 0.0 };
        for query in queries {
            let found = Headroom::of(&[query], &Bootstrap::default()).unwrap();
            assert_eq!(found.best[0].gain, none, "one sample is the mean");
            assert_eq!(found.noise.unwrap().gain, none, "all are equal");
        }
    }

    #[test]
    fn numbers_of_queries_are_those_of_a_paired_t_test() {
        let queries = [query(&[0.0, 1.0], &[]), query(&[1.0, 0.0], &[])];
        let found = Headroom::of(&queries, &Bootstrap::default()).unwrap();
        close(found.difference, 1.0);
        assert!(found.noise.is_none());
        // Tables of the t-test have 34 for half a deviation, and 199 for a fifth.
        assert_eq!((found.queries_for(0.5), found.queries_for(0.2)), (Some(34), Some(199)));
        assert_eq!((found.queries_for(0.0), found.queries_for(f64::NAN)), (None, None));
        let smallest = found.smallest_difference(34).unwrap();
        assert!(smallest < 0.5 && smallest > 0.49, "{smallest}");
        assert_eq!(found.smallest_difference(1), None);
    }

    /// A known truth: scores of 1 + noise of 0.5 within queries, found again from two scorings.
    #[test]
    fn noise_is_distinguished_from_spread() {
        let mut draws = 12_u64;
        let mut normal = || {
            // The sum of twelve uniform numbers has the variance 1.
            let drawn = |n: u64| Seed::new(5).child("draw", n).value();
            let uniform = |n: u64| (drawn(n) >> 11) as f64 / (1_u64 << 53) as f64;
            draws += 12;
            (0..12).map(|n| uniform(draws - n)).sum::<f64>() - 6.0
        };
        let queries: Vec<SampleScores> = (0..400)
            .map(|_| {
                let truth: Vec<f64> = (0..8).map(|_| normal()).collect();
                let mut scored = || truth.iter().map(|one| one + 0.5 * normal()).collect();
                SampleScores { scores: scored(), again: scored() }
            })
            .collect();
        let found = Headroom::of(&queries, &Bootstrap::default()).unwrap();
        let noise = found.noise.unwrap();
        assert!((noise.deviation - 0.5).abs() < 0.03, "{noise:?}");
        assert!((noise.share - 0.2).abs() < 0.03, "{noise:?}");
        assert!((found.spread - 1.25_f64.sqrt()).abs() < 0.03, "{found:?}");
        // The best of 8 normal numbers is 1.4236 deviations above the mean.
        let gain = found.gain().unwrap().mean;
        assert!((gain - 1.4236 * 1.25_f64.sqrt()).abs() < 0.08, "{gain}");
        assert!(noise.gain.mean < gain && noise.gain.mean > 0.75 * gain, "{noise:?} {gain}");
        assert!(found.warnings().is_empty(), "{:?}", found.warnings());
    }

    #[test]
    fn what_speaks_against_a_search_is_named() {
        let flat = [query(&[1.0, 1.0], &[1.0, 1.0]), query(&[2.0, 2.0], &[2.0, 2.0])];
        let warnings = Headroom::of(&flat, &Bootstrap::default()).unwrap().warnings().join("\n");
        for words in ["2 queries are too few", "nothing to gain", "equal scores only"] {
            assert!(warnings.contains(words), "{warnings}");
        }
        let noisy = [query(&[0.0, 1.0], &[1.0, 0.0])];
        let warnings = Headroom::of(&noisy, &Bootstrap::default()).unwrap().warnings().join("\n");
        assert!(warnings.contains("most of the spread is noise"), "{warnings}");
    }
}
