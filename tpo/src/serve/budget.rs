//! The bound of a request on calls and tokens, those of a judge among them, and turns between requests.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, EngineStatus, Request, Response};
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

/// An engine that lets others have their turn before each call: one that takes no time, such as the simulation, never
/// waits for anything, so that deadlines and other requests would come too late.
pub(super) struct Yielding(pub(super) Arc<dyn Engine>);

#[async_trait]
impl Engine for Yielding {
    fn info(&self) -> &EngineInfo {
        self.0.info()
    }

    async fn status(&self) -> EngineStatus {
        self.0.status().await
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        tokio::task::yield_now().await;
        self.0.complete(request).await
    }
}
