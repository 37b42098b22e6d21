//! When searches end before their last iteration.

use std::path::Path;

use textgrad_ops::layer::{Money, Prices};
use tpo::{Error, MoneyBound, Stopping};

use crate::engines::{missing, setup};

#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Stopping (of each query, after an iteration)")]
pub(crate) struct StoppingArgs {
    /// End when the best score is at least this.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    early_stop_target: Option<f64>,

    /// End when the best score has not risen for so many iterations.
    #[arg(long, value_name = "ITERATIONS")]
    early_stop_patience: Option<u32>,

    /// What counts as a rise for --early-stop-patience: more than this. [default: 0]
    #[arg(long, value_name = "SCORE")]
    early_stop_min_gain: Option<f64>,

    /// End when the scores of the newest answers are all within this of the best one.
    #[arg(long, value_name = "SCORE")]
    early_stop_margin: Option<f64>,

    /// For how many iterations in a row --early-stop-margin must hold. [default: 1]
    #[arg(long, value_name = "ITERATIONS")]
    early_stop_margin_patience: Option<u32>,

    /// End after so many requests to language models.
    #[arg(long, value_name = "REQUESTS")]
    early_stop_calls: Option<u64>,

    /// End after so many tokens, read and written.
    #[arg(long, value_name = "TOKENS")]
    early_stop_tokens: Option<u64>,

    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    early_stop_seconds: Option<f64>,

    /// End when requests to language models have cost this much, by --prices.
    #[arg(long, value_name = "MONEY")]
    early_stop_money: Option<f64>,

    /// What a million tokens cost, as a JSON object or a file of it:
    /// '{"gpt-x": {"input": 2.5, "cached": 1.25, "output": 10}}'. There are no prices in this program.
    #[arg(long, value_name = "JSON|FILE")]
    prices: Option<String>,
}

impl StoppingArgs {
    pub(crate) async fn rules(&self) -> Result<Stopping, Error> {
        Ok(Stopping {
            target: self.early_stop_target,
            patience: self.early_stop_patience,
            min_gain: self.early_stop_min_gain.unwrap_or(0.0),
            min_margin: self.early_stop_margin,
            margin_patience: self.early_stop_margin_patience,
            calls: self.early_stop_calls,
            tokens: self.early_stop_tokens,
            seconds: self.early_stop_seconds,
            money: self.money().await?,
        })
    }

    /// Refuses an engine of a reward model that has no price, before anything is paid for.
    pub(crate) async fn priced(&self, engine: &str) -> Result<(), Error> {
        match self.money().await? {
            Some(money) if money.prices.of(engine).is_none() => Err(Error::Config {
                setting: "prices",
                expected: "a price for each engine, 0 if it costs nothing",
                got: format!("none for {engine:?}"),
            }),
            _ => Ok(()),
        }
    }

    async fn money(&self) -> Result<Option<MoneyBound>, Error> {
        match (self.early_stop_money, &self.prices) {
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(missing("prices", "what tokens cost, beside --early-stop-money"))
            }
            (None, Some(_)) => Err(missing("early-stop-money", "a bound on money beside --prices")),
            (Some(bound), Some(prices)) => {
                let wrong = setup("bound on money");
                let prices = match prices.trim_start().starts_with('{') {
                    true => Prices::from_json(prices),
                    false => Prices::load(Path::new(prices)).await,
                };
                let prices = prices.map_err(&wrong)?;
                Ok(Some(MoneyBound { bound: Money::new(bound).map_err(&wrong)?, prices }))
            }
        }
    }
}
