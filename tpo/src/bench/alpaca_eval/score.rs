//! From preferences to a win rate.

use crate::bench::reward::mean_reward;
use crate::error::Error;

/// How often a model wins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WinRate {
    /// The mean of the preferences for the model, from 0 to 100.
    pub win_rate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// How many items had a preference.
    pub items: usize,
}

/// The win rate of preferences from 1 (the reference is better) to 2 (the model is better), where a 0 is a
/// draw as 1.5 is. Items without a preference, which the annotator could not decide, are left out; none is
/// returned if all are.
///
/// # Errors
/// [`Error::Input`] for a preference that is none of these, with its place, from 1.
///
/// # Examples
/// ```
/// use tpo::bench::alpaca_eval::win_rate;
///
/// let rate = win_rate(&[Some(2.0), Some(1.0), Some(1.5), None, Some(0.0)])?;
/// assert_eq!(rate.map(|rate| (rate.win_rate, rate.items)), Some((50.0, 4)));
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn win_rate(preferences: &[Option<f64>]) -> Result<Option<WinRate>, Error> {
    let shares = (1..).zip(preferences).map(|(place, preference)| share(place, *preference));
    let shares: Vec<Option<f64>> = shares.collect::<Result<_, _>>()?;
    let wins: Vec<f64> = shares.into_iter().flatten().collect();
    Ok(mean_reward(&wins).map(|wins| WinRate {
        win_rate: 100.0 * wins.mean,
        standard_error: 100.0 * wins.standard_error,
        items: wins.items,
    }))
}

/// A preference as a share of the model, from 0 to 1.
pub(super) fn share(place: usize, preference: Option<f64>) -> Result<Option<f64>, Error> {
    match preference {
        None => Ok(None),
        Some(0.0) => Ok(Some(0.5)),
        Some(value) if (1.0..=2.0).contains(&value) => Ok(Some(value - 1.0)),
        Some(value) => Err(Error::Input {
            source_name: format!("preference {place}"),
            reason: format!("expected 0 or 1 to 2, got {value}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_weighted_and_not_rounded() {
        let rate = win_rate(&[Some(1.9), Some(1.3)]).unwrap().unwrap();
        assert!((rate.win_rate - 60.0).abs() < 1e-9);
        assert!((rate.standard_error - 30.0).abs() < 1e-9);
        assert_eq!(win_rate(&[None]).unwrap(), None);
    }

    #[test]
    fn a_preference_out_of_range_is_refused() {
        for wrong in [0.5, 2.1, f64::NAN, -1.0] {
            let error = win_rate(&[None, Some(wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("preference 2: expected 0 or 1 to 2"), "{error}");
        }
    }
}
