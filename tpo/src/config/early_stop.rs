//! Early stopping.

use serde::{Deserialize, Serialize};
use textgrad_ops::layer::Prices;

use super::budget::{SearchBudget, Spent};
use crate::error::Error;
use crate::search::Pool;
use crate::util::is_default;

/// When a search ends before its last iteration. By default it does not: D iterations are made.
///
/// Rules are looked at after each iteration, in the order of the fields, so a bound on time is passed by at most what
/// one iteration takes. All but `seconds` depend on nothing but the answers, so a run that is repeated ends at the
/// same place.
///
/// # Examples
/// ```
/// use tpo::{EarlyStop, TpoConfig};
///
/// let early_stop = EarlyStop { target: Some(4.0), patience: Some(2), ..EarlyStop::default() };
/// let config = TpoConfig { iterations: 10, early_stop, ..TpoConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStop {
    /// The best score is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// The best score has not risen by more than `min_gain` for this many iterations, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// What counts as a rise of the best score, 0 or more.
    #[serde(skip_serializing_if = "is_default")]
    pub min_gain: f64,
    /// The scores of the newest answers are all within this of the best one: nothing is left to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_margin: Option<f64>,
    /// For how many iterations in a row they must have been, at least 1; the first sampling counts as one.
    /// Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_patience: Option<u32>,
    /// Seconds since the search of this query began, above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What the search may spend.
    #[serde(skip_serializing_if = "SearchBudget::is_unbounded")]
    pub budget: SearchBudget,
    /// What tokens cost, for a bound on money. Every engine of the search needs a price then, 0 if it costs nothing. A
    /// reply whose server does not say how many tokens it took is estimated, as in a
    /// [`Budget`](textgrad_ops::layer::Budget).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
}

/// Why a search ended before its last iteration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The target was reached.
    Target,
    /// The best score no longer rose.
    Plateau,
    /// The newest answers were as good as the best.
    Margin,
    /// The bound on time was reached.
    Seconds,
    /// Another iteration would have passed the bound on answers.
    Answers,
    /// Another iteration would have passed the bound on requests.
    Calls,
    /// Another iteration would have passed a bound on tokens.
    Tokens,
    /// Another iteration would have passed the bound on money.
    Money,
    /// The method had nothing to do: no answers to compare.
    NoPair,
    /// The deadline of a served request passed, perhaps within an iteration.
    Deadline,
    /// A call would have passed the bound of a served request on calls or tokens, perhaps within an iteration.
    Budget,
    /// A rule that is not of this crate, in its words.
    #[serde(untagged)]
    Other(String),
}

impl StopReason {
    /// Whether a bound ended the search, rather than its success.
    #[cfg(feature = "serve")]
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::Seconds | Self::Answers | Self::Calls | Self::Tokens | Self::Money)
            || self.is_request_limit()
    }

    /// Whether it may end a search within an iteration.
    pub(crate) fn is_request_limit(&self) -> bool {
        matches!(self, Self::Deadline | Self::Budget)
    }
}

/// A rule of one's own that ends a search before its last iteration, beside those of [`EarlyStop`].
///
/// It must depend on nothing but what it is given, so that a run can be repeated.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::sim::Sim;
/// use tpo::search::{Progress, StopRule};
/// use tpo::{SimReward, StopReason, Tpo};
///
/// struct LongEnough;
///
/// impl StopRule for LongEnough {
///     fn name(&self) -> String {
///         "long enough".to_owned()
///     }
///
///     fn stops(&self, progress: &Progress<'_>) -> bool {
///         progress.pool.candidates().iter().any(|one| one.text().len() > 10)
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).stop_rule(Arc::new(LongEnough)).build()?;
/// let aligned = tpo.align("Why is the sky blue?").await?;
/// assert_eq!(aligned.trajectory().stopped, Some(StopReason::Other("long enough".to_owned())));
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
pub trait StopRule: Send + Sync {
    /// A short name: the [reason](StopReason::Other) of a search that it ends. A run is only continued with the same
    /// one.
    fn name(&self) -> String;

    /// Whether the search is to end before its next iteration.
    fn stops(&self, progress: &Progress<'_>) -> bool;
}

textgrad_core::debug_by!(dyn StopRule, name);

/// What stop rules are applied to.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// All answers so far.
    pub pool: &'a Pool,
    /// The best score by each iteration, the first sampling's first.
    pub best: &'a [f64],
    /// How far the lowest score of the newest answers was below the best one, by each iteration; `None` where an
    /// iteration brought no answers.
    pub margins: &'a [Option<f64>],
    /// What the search took so far.
    pub spent: Spent,
    /// What the next iteration is expected to take: see [`SearchBudget`].
    pub next: Spent,
    /// Seconds since the search began.
    pub seconds: f64,
}

impl EarlyStop {
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
        if let Some(bound) = self.min_margin {
            let patience = self.margin_patience.unwrap_or(1) as usize;
            let from = progress.margins.len().checked_sub(patience);
            let last = from.and_then(|from| progress.margins.get(from..));
            let within = |margin: &Option<f64>| margin.is_some_and(|margin| margin <= bound);
            if last.is_some_and(|last| last.iter().all(within)) {
                return Some(StopReason::Margin);
            }
        }
        if self.seconds.is_some_and(|bound| progress.seconds >= bound) {
            return Some(StopReason::Seconds);
        }
        self.budget.passed(&progress.spent.plus(&progress.next))
    }

    /// The prices, if they bound anything.
    pub(crate) fn bounding_prices(&self) -> Option<&Prices> {
        self.prices.as_ref().filter(|_| self.budget.money.is_some())
    }

    /// Refuses engines without a price where money is bounded.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first of them.
    pub fn validate_engines(&self, engines: &[&str]) -> Result<(), Error> {
        let Some(prices) = self.bounding_prices() else { return Ok(()) };
        match engines.iter().find(|engine| prices.of(engine).is_none()) {
            Some(engine) => {
                let expected = "a price for each engine, 0 if it costs nothing";
                Err(Error::config("prices", expected, format!("none for {engine:?}")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let fail = |setting, expected, got: String| Err(Error::config(setting, expected, got));
        let from_0 = "a finite number of 0 or more";
        for (setting, number, least, expected) in [
            ("early-stop-target", self.target, f64::MIN, "a finite number"),
            ("early-stop-min-gain", Some(self.min_gain), 0.0, from_0),
            ("early-stop-margin", self.min_margin, 0.0, from_0),
            ("early-stop-seconds", self.seconds, f64::MIN_POSITIVE, "a finite number above 0"),
        ] {
            if let Some(number) = number.filter(|number| !(least..=f64::MAX).contains(number)) {
                return fail(setting, expected, number.to_string());
            }
        }
        for (setting, count) in [
            ("early-stop-patience", self.patience.map(u64::from)),
            ("early-stop-margin-patience", self.margin_patience.map(u64::from)),
        ] {
            if count == Some(0) {
                return fail(setting, "at least 1", "0".to_owned());
            }
        }
        if self.margin_patience.is_some() && self.min_margin.is_none() {
            let expected = "none without --early-stop-margin: it would change nothing";
            let got = self.margin_patience.unwrap_or_default().to_string();
            return fail("early-stop-margin-patience", expected, got);
        }
        if self.min_gain > 0.0 && self.patience.is_none() {
            let expected = "none without --early-stop-patience: it would change nothing";
            return fail("early-stop-min-gain", expected, self.min_gain.to_string());
        }
        if let (Some(money), None) = (self.budget.money, &self.prices) {
            let expected = "prices of tokens beside a bound on money";
            return fail("prices", expected, format!("none, and money:{money}"));
        }
        self.budget.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress<'a>(pool: &'a Pool, best: &'a [f64]) -> Progress<'a> {
        let [spent, next] = [3, 2].map(|calls| Spent { calls, ..Spent::default() });
        Progress { pool, best, margins: &[Some(3.0)], spent, next, seconds: 2.5 }
    }

    fn reason(early_stop: &EarlyStop, best: &[f64]) -> Option<StopReason> {
        early_stop.reason(progress(&Pool::default(), best))
    }

    #[test]
    fn nothing_ends_a_search_by_default() {
        assert_eq!(reason(&EarlyStop::default(), &[1.0, 1.0, 1.0]), None);
    }

    #[test]
    fn each_rule_ends_it_at_its_bound() {
        let rule = |change: fn(&mut EarlyStop)| {
            let mut early_stop = EarlyStop::default();
            change(&mut early_stop);
            early_stop
        };
        for (met, not_met, why) in [
            (rule(|s| s.target = Some(3.0)), rule(|s| s.target = Some(3.1)), StopReason::Target),
            (
                rule(|s| s.min_margin = Some(3.0)),
                rule(|s| s.min_margin = Some(2.9)),
                StopReason::Margin,
            ),
            (rule(|s| s.seconds = Some(2.5)), rule(|s| s.seconds = Some(2.6)), StopReason::Seconds),
            // Three were made, and the next iteration is expected to make two.
            (
                rule(|s| s.budget.calls = Some(4)),
                rule(|s| s.budget.calls = Some(5)),
                StopReason::Calls,
            ),
        ] {
            assert_eq!(reason(&not_met, &[1.0, 3.0]), None, "{why:?}");
            assert_eq!(reason(&met, &[1.0, 3.0]), Some(why));
        }
    }

    #[test]
    fn a_plateau_is_as_long_as_the_patience() {
        let early_stop = EarlyStop { patience: Some(2), min_gain: 0.1, ..EarlyStop::default() };
        assert_eq!(reason(&early_stop, &[1.0, 1.05]), None, "one iteration is not two");
        assert_eq!(reason(&early_stop, &[1.0, 1.05, 1.0625]), Some(StopReason::Plateau));
        assert_eq!(reason(&early_stop, &[1.0, 1.05, 1.2]), None);
        assert_eq!(reason(&early_stop, &[1.0, 2.0, 2.0]), None);
        assert_eq!(reason(&early_stop, &[1.0, 2.0, 2.0, 2.0]), Some(StopReason::Plateau));
    }

    #[test]
    fn a_margin_must_stay_small_as_long_as_its_patience() {
        let early_stop =
            EarlyStop { min_margin: Some(0.5), margin_patience: Some(2), ..EarlyStop::default() };
        let pool = Pool::default();
        let reason = |margins| early_stop.reason(Progress { margins, ..progress(&pool, &[1.0]) });
        assert_eq!(reason(&[Some(0.1)]), None, "one iteration is not two");
        assert_eq!(reason(&[Some(0.1), Some(0.5)]), Some(StopReason::Margin));
        assert_eq!(reason(&[Some(0.1), Some(0.6)]), None);
        assert_eq!(reason(&[Some(0.6), Some(0.1)]), None);
        assert_eq!(reason(&[Some(0.1), None, Some(0.1)]), None, "no answers tell nothing");
        assert_eq!(reason(&[Some(0.9), Some(0.1), Some(0.1)]), Some(StopReason::Margin));
    }

    #[test]
    fn every_engine_needs_a_price_where_money_is_bounded() {
        let budget: SearchBudget = "money:1".parse().unwrap();
        let early_stop =
            EarlyStop { budget, prices: Some(Prices::default()), ..EarlyStop::default() };
        let error = early_stop.validate_engines(&["openai:gpt-x"]).unwrap_err().to_string();
        assert!(error.contains("none for \"openai:gpt-x\""), "{error}");
        assert!(EarlyStop::default().validate_engines(&["openai:gpt-x"]).is_ok());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let zero = SearchBudget { calls: Some(0), ..SearchBudget::default() };
        for (early_stop, name) in [
            (EarlyStop { target: Some(f64::NAN), ..EarlyStop::default() }, "target"),
            (EarlyStop { patience: Some(0), ..EarlyStop::default() }, "patience"),
            (EarlyStop { min_gain: -1.0, ..EarlyStop::default() }, "min-gain"),
            (EarlyStop { min_margin: Some(-0.1), ..EarlyStop::default() }, "margin"),
            (EarlyStop { budget: zero, ..EarlyStop::default() }, "calls"),
            (EarlyStop { budget: "money:1".parse().unwrap(), ..EarlyStop::default() }, "prices"),
            (EarlyStop { seconds: Some(0.0), ..EarlyStop::default() }, "seconds"),
            (EarlyStop { margin_patience: Some(2), ..EarlyStop::default() }, "margin-patience"),
            (EarlyStop { min_gain: 0.1, ..EarlyStop::default() }, "min-gain"),
        ] {
            let error = early_stop.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
