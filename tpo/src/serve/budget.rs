//! The bound of a request on calls and tokens, those of a judge among them.

use std::sync::Arc;

use textgrad_core::Engine;
use textgrad_ops::layer::{Budget, EngineExt as _};

use super::options::SearchOptions;
use crate::reward::{EngineScope, RewardModel};

/// A hard bound on calls and tokens, if there is one; the bound on money is one of early stopping.
pub(super) struct RequestBudget(Option<Budget>);

impl RequestBudget {
    pub(super) fn new(options: &SearchOptions) -> Self {
        let (calls, tokens) = (options.budget.calls, options.budget.tokens);
        if calls.is_none() && tokens.is_none() {
            return Self(None);
        }
        let mut budget = Budget::builder();
        if let Some(calls) = calls {
            budget = budget.calls(calls);
        }
        if let Some(tokens) = tokens {
            budget = budget.tokens(tokens);
        }
        Self(Some(budget.build()))
    }
}

impl EngineScope for RequestBudget {
    fn engine(&self, engine: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        // Without a bound on money, no price is missing.
        match self.0.as_ref().and_then(|budget| Arc::clone(engine).budget(budget).ok()) {
            Some(bounded) => Arc::new(bounded),
            None => Arc::clone(engine),
        }
    }

    fn reward(&self, reward: &Arc<dyn RewardModel>) -> Arc<dyn RewardModel> {
        let bound = self.0.as_ref().and_then(|_| reward.bind(self));
        bound.unwrap_or_else(|| Arc::clone(reward))
    }
}
