//! Budgets of calls, tokens and money.

use std::sync::Arc;

use derive_setters::Setters;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response, Usage};

use super::Layer;
use super::price::{Money, Price, Prices, usage_or_estimate};

/// Spends from a [`Budget`] at the price of one engine; see [`EngineExt::budget`](super::EngineExt::budget).
#[derive(Debug, Clone)]
pub struct Budgeted {
    budget: Budget,
    price: Option<Price>,
}

impl Budgeted {
    pub(super) fn new(budget: &Budget, engine: &str) -> Result<Self, EngineError> {
        let prices = budget.0.bounds.money.as_ref().map(|(_, prices)| prices);
        let price = prices.map(|prices| prices.require(engine)).transpose()?;
        Ok(Self { budget: budget.clone(), price })
    }
}

impl Layer for Budgeted {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        self.budget.take_call()?;
        let result = engine.complete(request).await;
        let usage = match &result {
            Ok(response) => usage_or_estimate(request, response),
            Err(error) => error.usage(),
        };
        self.budget.pay(usage, self.price);
        result
    }
}

/// What may be spent: calls, tokens, money. Cheap to clone: engines share one, and whoever keeps a clone can
/// read what was [`spent`](Self::spent).
///
/// * A call that begins when a bound is reached fails with [`ErrorKind::Budget`], which is final. Nothing is
///   sent for it.
/// * A call counts from its beginning, whatever comes of it: the bound on calls holds exactly, at any
///   concurrency.
/// * What a call costs in tokens and money is known when it is answered. So these bounds may be exceeded by the
///   call that reaches them and by those under way at that moment: at most by as many calls as run at the
///   same time.
/// * A response whose server does not say what it cost counts with an estimate: a quarter of its bytes, 1,000
///   for each image. A call that failed counts with the tokens that its server reported, as for an answer that it
///   withheld; where it reported none, and where the caller went away, as a call without tokens: what it cost is
///   not known.
/// * Money needs a table of [`Prices`], and each engine a price in it.
///
/// It belongs right around the client, where a [`Meter`](crate::layer::Meter) does: there each attempt
/// of a retry counts, a call that waits for its turn does not, and an answer from a cache costs nothing.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, ErrorKind, FinishReason, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::layer::EngineExt;
/// use textgrad_ops::layer::{Budget, Money, Price, Prices};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let prices = Prices::default().with("live", Price::new(2.5, 10.0)?);
/// let budget = Budget::builder().calls(1).money(Money::new(0.5)?, prices).build();
/// let engine = engine_fn("live", |_| async { Ok(Response::new(vec![Choice::new("hi", FinishReason::Stop)])) })
///     .budget(&budget)?;
/// let request = Request::new(Purpose::Sample, []);
/// engine.complete(&request).await?;
/// assert_eq!(budget.spent().calls, 1);
/// assert_eq!(engine.complete(&request).await.unwrap_err().kind(), ErrorKind::Budget);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: BudgetBuilder,
    spent: Mutex<Spent>,
}

/// Sets up a [`Budget`]. Without any bound it only counts.
#[derive(Debug, Clone, Default, Setters)]
#[setters(strip_option)]
pub struct BudgetBuilder {
    /// How many calls may begin.
    calls: Option<u64>,
    /// How many tokens may be read and written, together.
    tokens: Option<u64>,
    #[setters(skip)]
    money: Option<(Money, Prices)>,
    /// What was spent of it before, by a run that this one continues.
    spent: Spent,
}

impl BudgetBuilder {
    /// How much the tokens may cost, by a table of prices.
    #[must_use]
    pub fn money(mut self, money: Money, prices: Prices) -> Self {
        self.money = Some((money, prices));
        self
    }

    /// The budget.
    #[must_use]
    pub fn build(self) -> Budget {
        let spent = Mutex::new(self.spent);
        Budget(Arc::new(Shared { bounds: self, spent }))
    }
}

impl Budget {
    /// Sets up a budget.
    #[must_use]
    pub fn builder() -> BudgetBuilder {
        BudgetBuilder::default()
    }

    /// What was spent, what an earlier run had spent included.
    #[must_use]
    pub fn spent(&self) -> Spent {
        *self.0.spent.lock()
    }

    /// Lets one more call begin, and counts it, in one step.
    fn take_call(&self) -> Result<(), EngineError> {
        let mut spent = self.0.spent.lock();
        if self.is_used_up(&spent) {
            return Err(self.used_up(&spent));
        }
        spent.calls += 1;
        Ok(())
    }

    /// Counts the usage of a call.
    fn pay(&self, usage: Usage, price: Option<Price>) {
        let mut spent = self.0.spent.lock();
        spent.usage += usage;
        if let Some(price) = price {
            spent.money = spent.money.plus(price.of(usage));
        }
    }

    fn is_used_up(&self, spent: &Spent) -> bool {
        let BudgetBuilder { calls, tokens, money, spent: _ } = &self.0.bounds;
        calls.is_some_and(|calls| spent.calls >= calls)
            || tokens.is_some_and(|tokens| spent.usage.total() >= tokens)
            || money.as_ref().is_some_and(|(money, _)| spent.money >= *money)
    }

    fn used_up(&self, spent: &Spent) -> EngineError {
        let BudgetBuilder { calls, tokens, money, spent: _ } = &self.0.bounds;
        let bounds = [
            calls.map(|calls| format!("{} of {calls} calls", spent.calls)),
            tokens.map(|tokens| format!("{} of {tokens} tokens", spent.usage.total())),
            money.as_ref().map(|(money, _)| format!("{} of {money} in money", spent.money)),
        ];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        EngineError::new(
            ErrorKind::Budget,
            format!("the budget is used up ({}); raise it to go on", bounds.join(", ")),
        )
    }
}

/// What was spent of a [`Budget`]. Kept with a run, it lets a later one go on from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spent {
    /// Calls begun, those under way and those that failed among them.
    pub calls: u64,
    /// Tokens of the calls that were answered.
    pub usage: Usage,
    /// What these tokens cost.
    pub money: Money,
}

#[cfg(test)]
mod tests;
