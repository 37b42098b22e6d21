//! Budget of a search.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use textgrad_core::Usage;
use textgrad_ops::layer::Money;

use super::StopReason;
use crate::error::Error;

/// What one search may spend. By default there is no bound.
///
/// A search ends before an iteration that would pass a bound if it took as much as the most expensive one so far;
/// before the first iteration, as much as the first sampling, times the requests that the method makes for each
/// sampling. So less is spent by up to one iteration, and more only where an iteration takes more than was expected
/// of it: the report of a study says how much is left.
///
/// The text form lists kinds and amounts: `tokens:20000` or `calls:40,money:0.5`.
///
/// # Examples
/// ```
/// use tpo::{EarlyStop, SearchBudget, TpoConfig};
///
/// let budget: SearchBudget = "tokens:20000,calls:40".parse()?;
/// assert_eq!((budget.tokens, budget.calls), (Some(20_000), Some(40)));
/// assert_eq!(budget.to_string(), "calls:40,tokens:20000");
/// let early_stop = EarlyStop { budget, ..EarlyStop::default() };
/// TpoConfig { iterations: 100, early_stop, ..TpoConfig::default() }.validate()?;
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchBudget {
    /// Answers that are drawn and scored, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<u64>,
    /// Requests to language models, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Prompt and completion tokens, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Prompt tokens, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Completion tokens, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
    /// Money, above 0, by the [prices](super::EarlyStop::prices): tokens weighted by what they cost, cached ones too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
}

/// What a search, or a part of it, took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Answers in the pool.
    pub answers: u64,
    /// Requests to language models that were answered.
    pub calls: u64,
    /// Their tokens.
    pub tokens: Usage,
    /// What they cost, as far as engines have a price.
    pub money: Money,
}

const KINDS: &str = "answers, calls, tokens, prompt-tokens, completion-tokens or money, each with an amount above 0, \
                     as in tokens:20000";

impl SearchBudget {
    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }

    /// These bounds, and those of `other` where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            answers: self.answers.or(other.answers),
            calls: self.calls.or(other.calls),
            tokens: self.tokens.or(other.tokens),
            prompt_tokens: self.prompt_tokens.or(other.prompt_tokens),
            completion_tokens: self.completion_tokens.or(other.completion_tokens),
            money: self.money.or(other.money),
        }
    }

    /// The bounds on whole numbers, by name.
    fn counts(&mut self) -> [(&'static str, &mut Option<u64>); 5] {
        [
            ("answers", &mut self.answers),
            ("calls", &mut self.calls),
            ("tokens", &mut self.tokens),
            ("prompt-tokens", &mut self.prompt_tokens),
            ("completion-tokens", &mut self.completion_tokens),
        ]
    }

    /// Each bound with the amount that a search took of it: name, bound, amount.
    fn shares(mut self, cost: &Spent) -> impl Iterator<Item = (&'static str, f64, f64)> {
        let Usage { prompt_tokens, completion_tokens, .. } = cost.tokens;
        let taken =
            [cost.answers, cost.calls, cost.tokens.total(), prompt_tokens, completion_tokens];
        let counts = self.counts().map(|(name, bound)| (name, *bound));
        let money = self.money.map(|bound| ("money", bound.units(), cost.money.units()));
        counts
            .into_iter()
            .zip(taken)
            .filter_map(|((name, bound), taken)| Some((name, bound? as f64, taken as f64)))
            .chain(money)
    }

    /// The part of the scarcest bound that a search left: 1 is all of it, below 0 is what was spent beyond it. `None`
    /// without a bound.
    #[must_use]
    pub fn left(&self, cost: &Spent) -> Option<f64> {
        self.shares(cost).map(|(_, bound, taken)| 1.0 - taken / bound).reduce(f64::min)
    }

    /// The reason to stop where a cost passes a bound.
    pub(super) fn passed(&self, cost: &Spent) -> Option<StopReason> {
        let (passed, ..) = self.shares(cost).find(|(_, bound, taken)| taken > bound)?;
        Some(match passed {
            "answers" => StopReason::Answers,
            "calls" => StopReason::Calls,
            "money" => StopReason::Money,
            _ => StopReason::Tokens,
        })
    }

    /// Checks the ranges.
    pub(super) fn validate(mut self) -> Result<(), Error> {
        let money = ("money", self.money.map(Money::units));
        let counts = self.counts().map(|(name, bound)| (name, bound.map(|bound| bound as f64)));
        match counts.into_iter().chain([money]).find(|(_, bound)| *bound == Some(0.0)) {
            Some((name, _)) => Err(Error::config("budget", KINDS, format!("{name}:0"))),
            None => Ok(()),
        }
    }
}

impl Spent {
    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            answers: self.answers.saturating_add(other.answers),
            calls: self.calls.saturating_add(other.calls),
            tokens: self.tokens + other.tokens,
            money: self.money.plus(other.money),
        }
    }

    /// This cost without another one that is part of it.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.zip(other, u64::saturating_sub, Money::minus)
    }

    /// As many calls as that, each of them with the same number of answers and tokens. The answers stay as many, for
    /// only the last of the calls of an iteration brings some.
    pub(crate) fn times(&self, calls: u64) -> Self {
        let all = self.zip(self, |own, _| own.saturating_mul(calls), |own, _| own.times(calls));
        Self { answers: self.answers, ..all }
    }

    /// The greater of both, kind by kind.
    pub(crate) fn max(&self, other: &Self) -> Self {
        self.zip(other, u64::max, Money::max)
    }

    /// Both, kind by kind, by one function of counts and one of money.
    fn zip(
        &self,
        other: &Self,
        count: impl Fn(u64, u64) -> u64,
        money: impl Fn(Money, Money) -> Money,
    ) -> Self {
        let (a, b) = (&self.tokens, &other.tokens);
        Self {
            answers: count(self.answers, other.answers),
            calls: count(self.calls, other.calls),
            tokens: Usage {
                prompt_tokens: count(a.prompt_tokens, b.prompt_tokens),
                completion_tokens: count(a.completion_tokens, b.completion_tokens),
                ..Usage::default()
            },
            money: money(self.money, other.money),
        }
    }
}

impl fmt::Display for SearchBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut own = *self;
        let counts = own.counts().map(|(name, bound)| Some(format!("{name}:{}", (*bound)?)));
        let money = self.money.map(|bound| format!("money:{bound}"));
        let bounds: Vec<String> = counts.into_iter().chain([money]).flatten().collect();
        f.write_str(&bounds.join(","))
    }
}

impl FromStr for SearchBudget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::config("budget", KINDS, text);
        let mut budget = Self::default();
        for part in text.split(',') {
            let (kind, amount) = part.split_once(':').ok_or_else(wrong)?;
            let (kind, amount) = (kind.trim(), amount.trim());
            if kind == "money" {
                let money = amount.parse().ok().and_then(|units| Money::new(units).ok());
                budget.money = Some(money.ok_or_else(wrong)?);
                continue;
            }
            let mut counts = budget.counts().into_iter();
            let (_, bound) = counts.find(|(name, _)| *name == kind).ok_or_else(wrong)?;
            *bound = Some(amount.parse().map_err(|_| wrong())?);
        }
        budget.validate().map_err(|_| wrong())?;
        Ok(budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Spent {
        let tokens = Usage { prompt_tokens: 700, completion_tokens: 200, ..Usage::default() };
        Spent { answers: 5, calls: 4, tokens, money: Money::new(0.25).unwrap() }
    }

    #[test]
    fn texts_go_both_ways_and_wrong_ones_are_refused() {
        for text in [
            "answers:1",
            "calls:4,tokens:900,money:0.25",
            "prompt-tokens:18446744073709551615",
            "answers:5,calls:4,tokens:900,prompt-tokens:700,completion-tokens:200,money:0.000001",
        ] {
            assert_eq!(text.parse::<SearchBudget>().unwrap().to_string(), text);
        }
        assert_eq!(
            " calls : 4 , answers:2".parse::<SearchBudget>().unwrap().to_string(),
            "answers:2,calls:4"
        );
        for text in [
            "",
            "tokens",
            "20000",
            "tokens:",
            "tokens:0",
            "tokens:-1",
            "token:5",
            "money:0",
            "money:nan",
            "money:1e9",
            "tokens:1.5",
            "calls:1,",
            "prompt_tokens:5",
        ] {
            let error = text.parse::<SearchBudget>().unwrap_err().to_string();
            assert!(error.contains("as in tokens:20000"), "{text}: {error}");
        }
    }

    #[test]
    fn a_bound_is_passed_by_more_than_it() {
        for (within, passed, reason) in [
            ("answers:5", "answers:4", StopReason::Answers),
            ("calls:4", "calls:3", StopReason::Calls),
            ("tokens:900", "tokens:899", StopReason::Tokens),
            ("prompt-tokens:700", "prompt-tokens:699", StopReason::Tokens),
            ("completion-tokens:200", "completion-tokens:199", StopReason::Tokens),
            ("money:0.25", "money:0.249999", StopReason::Money),
        ] {
            let [within, passed] =
                [within, passed].map(|text| text.parse::<SearchBudget>().unwrap());
            assert_eq!(within.passed(&cost()), None, "{within}");
            assert_eq!(within.left(&cost()), Some(0.0));
            assert_eq!(passed.passed(&cost()), Some(reason));
            assert!(passed.left(&cost()).is_some_and(|left| left < 0.0));
        }
        let several: SearchBudget = "answers:10,calls:5".parse().unwrap();
        assert!((several.left(&cost()).unwrap() - 0.2).abs() < 1e-12, "the scarcest");
        assert_eq!(SearchBudget::default().left(&cost()), None);
    }
}
