//! When a search ends before its last iteration.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// When a search ends before its last iteration. By default it does not: D iterations are made.
///
/// Rules are looked at after each iteration, in the order of the fields, so a bound on calls, tokens or time
/// is passed by at most what one iteration takes. All but `seconds` depend on nothing but the answers, so a
/// run that is repeated ends at the same place.
///
/// # Examples
/// ```
/// use tpo::{Stopping, TpoConfig};
///
/// let stopping = Stopping { target: Some(4.0), patience: Some(2), ..Stopping::default() };
/// let config = TpoConfig { iterations: 10, stopping, ..TpoConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stopping {
    /// The best score is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// The best score has not risen by more than `min_gain` for this many iterations, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// What counts as a rise of the best score, 0 or more.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_gain: f64,
    /// The scores of the newest answers are all within this of the best one: nothing is left to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_margin: Option<f64>,
    /// Requests to language models, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Tokens read and written, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Seconds since the search of this query began, above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// Why a search ended before its last iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The target was reached.
    Target,
    /// The best score no longer rose.
    Plateau,
    /// The newest answers were as good as the best.
    Margin,
    /// The bound on requests was reached.
    Calls,
    /// The bound on tokens was reached.
    Tokens,
    /// The bound on time was reached.
    Seconds,
    /// The selection of pairs had nothing to compare.
    NoPair,
}

/// What the rules are applied to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress<'a> {
    /// The best score by each iteration, the first sampling's first.
    pub(crate) best: &'a [f64],
    /// The lowest score of the newest answers, if the last iteration brought any.
    pub(crate) newest_low: Option<f64>,
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
    pub(crate) seconds: f64,
}

impl Stopping {
    /// Why the search is to end now, if it is.
    pub(crate) fn reason(&self, progress: Progress<'_>) -> Option<StopReason> {
        let best = progress.best.last().copied()?;
        if self.target.is_some_and(|target| best >= target) {
            return Some(StopReason::Target);
        }
        if let Some(patience) = self.patience {
            let before = progress.best.len().checked_sub(1 + patience as usize);
            let earlier = before.and_then(|place| progress.best.get(place));
            if earlier.is_some_and(|earlier| best - earlier <= self.min_gain) {
                return Some(StopReason::Plateau);
            }
        }
        if let (Some(margin), Some(low)) = (self.min_margin, progress.newest_low)
            && best - low <= margin
        {
            return Some(StopReason::Margin);
        }
        if self.calls.is_some_and(|bound| progress.calls >= bound) {
            return Some(StopReason::Calls);
        }
        if self.tokens.is_some_and(|bound| progress.tokens >= bound) {
            return Some(StopReason::Tokens);
        }
        self.seconds.is_some_and(|bound| progress.seconds >= bound).then_some(StopReason::Seconds)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let fail = |setting, expected, got: String| Err(Error::Config { setting, expected, got });
        if let Some(target) = self.target.filter(|target| !target.is_finite()) {
            return fail("stopping.target", "a finite number", target.to_string());
        }
        for (setting, number) in
            [("stopping.min_gain", Some(self.min_gain)), ("stopping.min_margin", self.min_margin)]
        {
            if let Some(number) = number.filter(|n| !(n.is_finite() && *n >= 0.0)) {
                return fail(setting, "a finite number of 0 or more", number.to_string());
            }
        }
        if let Some(seconds) = self.seconds.filter(|s| !(s.is_finite() && *s > 0.0)) {
            return fail("stopping.seconds", "a finite number above 0", seconds.to_string());
        }
        for (setting, count) in [
            ("stopping.patience", self.patience.map(u64::from)),
            ("stopping.calls", self.calls),
            ("stopping.tokens", self.tokens),
        ] {
            if count == Some(0) {
                return fail(setting, "at least 1", "0".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(best: &[f64]) -> Progress<'_> {
        Progress { best, newest_low: Some(0.0), calls: 4, tokens: 900, seconds: 2.5 }
    }

    fn reason(stopping: &Stopping, best: &[f64]) -> Option<StopReason> {
        stopping.reason(progress(best))
    }

    #[test]
    fn nothing_ends_a_search_by_default() {
        assert_eq!(reason(&Stopping::default(), &[1.0, 1.0, 1.0]), None);
    }

    #[test]
    fn each_rule_ends_it_at_its_bound() {
        let rule = |change: fn(&mut Stopping)| {
            let mut stopping = Stopping::default();
            change(&mut stopping);
            stopping
        };
        for (met, not_met, why) in [
            (rule(|s| s.target = Some(3.0)), rule(|s| s.target = Some(3.1)), StopReason::Target),
            (
                rule(|s| s.min_margin = Some(3.0)),
                rule(|s| s.min_margin = Some(2.9)),
                StopReason::Margin,
            ),
            (rule(|s| s.calls = Some(4)), rule(|s| s.calls = Some(5)), StopReason::Calls),
            (rule(|s| s.tokens = Some(900)), rule(|s| s.tokens = Some(901)), StopReason::Tokens),
            (rule(|s| s.seconds = Some(2.5)), rule(|s| s.seconds = Some(2.6)), StopReason::Seconds),
        ] {
            assert_eq!(reason(&met, &[1.0, 3.0]), Some(why));
            assert_eq!(reason(&not_met, &[1.0, 3.0]), None, "{why:?}");
        }
    }

    #[test]
    fn a_plateau_is_as_long_as_the_patience() {
        let stopping = Stopping { patience: Some(2), min_gain: 0.1, ..Stopping::default() };
        assert_eq!(reason(&stopping, &[1.0, 1.05]), None, "one iteration is not two");
        assert_eq!(reason(&stopping, &[1.0, 1.05, 1.0625]), Some(StopReason::Plateau));
        assert_eq!(reason(&stopping, &[1.0, 1.05, 1.2]), None);
        assert_eq!(reason(&stopping, &[1.0, 2.0, 2.0]), None);
        assert_eq!(reason(&stopping, &[1.0, 2.0, 2.0, 2.0]), Some(StopReason::Plateau));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (stopping, name) in [
            (Stopping { target: Some(f64::NAN), ..Stopping::default() }, "target"),
            (Stopping { patience: Some(0), ..Stopping::default() }, "patience"),
            (Stopping { min_gain: -1.0, ..Stopping::default() }, "min_gain"),
            (Stopping { min_margin: Some(-0.1), ..Stopping::default() }, "min_margin"),
            (Stopping { calls: Some(0), ..Stopping::default() }, "calls"),
            (Stopping { tokens: Some(0), ..Stopping::default() }, "tokens"),
            (Stopping { seconds: Some(0.0), ..Stopping::default() }, "seconds"),
        ] {
            let error = stopping.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
