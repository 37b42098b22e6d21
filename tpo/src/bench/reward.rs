//! The mean of a reward model, as TPO's paper grades HH-RLHF and BeaverTails-Evaluation.

use serde::Serialize;

use crate::stats::{deviation, mean};

/// The mean of scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanReward {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// How many scores there are.
    pub items: usize,
}

/// The mean of the scores that a reward model gave to the final answers; none without any. Where the same
/// model also guided the search, the mean shows in part how well the search pleases that model.
///
/// # Examples
/// ```
/// use tpo::bench::mean_reward;
///
/// assert_eq!(mean_reward(&[-1.0, -3.0]).map(|reward| reward.mean), Some(-2.0));
/// assert_eq!(mean_reward(&[]), None);
/// ```
#[must_use]
pub fn mean_reward(scores: &[f64]) -> Option<MeanReward> {
    let mean = mean(scores)?;
    let (items, spread) = (scores.len(), deviation(scores).unwrap_or(0.0));
    Some(MeanReward { mean, standard_error: spread / (items as f64).sqrt(), items })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_that_of_the_mean() {
        let reward = mean_reward(&[1.0, 2.0, 3.0, 6.0]).unwrap();
        assert!((reward.mean - 3.0).abs() < 1e-12);
        assert!((reward.standard_error - (14.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
        assert_eq!(mean_reward(&[5.0]).unwrap().standard_error, 0.0);
    }
}
