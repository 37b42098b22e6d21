//! Ends calls that would go beyond what may be spent.

mod money;
mod prices;
mod shared;
mod spent;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};

pub use self::money::Money;
pub use self::prices::{Price, Prices};
pub use self::shared::{Budget, BudgetBuilder};
pub use self::spent::{Remaining, Spent};
use super::cost;

/// An engine that spends from a [`Budget`]; see [`EngineExt::budget`](super::EngineExt::budget).
#[derive(Debug, Clone)]
pub struct Budgeted<E> {
    engine: E,
    budget: Budget,
    price: Option<Price>,
}

impl<E: Engine> Budgeted<E> {
    pub(super) fn new(engine: E, budget: Budget) -> Result<Self, EngineError> {
        let price = budget.price_of(engine.name())?;
        Ok(Self { engine, budget, price })
    }
}

#[async_trait]
impl<E: Engine> Engine for Budgeted<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.budget.take_call()?;
        let result = self.engine.complete(request).await;
        let usage = match &result {
            Ok(response) => cost::usage(request, response),
            Err(error) => error.usage(),
        };
        self.budget.pay(usage, self.price);
        result
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}

#[cfg(test)]
mod tests;
