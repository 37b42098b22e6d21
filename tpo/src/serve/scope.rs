//! Changes of one request to the engines of its search: the images of its conversation, and its budget.

use std::sync::Arc;

use textgrad_core::{Engine, EngineError, Message, MessageRole, Part, Purpose, Request, Response};
use textgrad_ops::layer::{Budget, EngineExt as _, Layer};

use super::options::SearchOptions;
use crate::reward::{EngineScope, RewardModel};

/// A layer that shows the images of a conversation with each request. A search carries texts only: samples get the
/// turns of the conversation as they are; losses, gradients and updates get the images behind their last message.
pub(crate) struct WithImages {
    /// The turns of the conversation, without system messages.
    turns: Vec<Message>,
}

impl WithImages {
    pub(crate) fn new(messages: &[Message]) -> Self {
        let turns = messages.iter().filter(|message| message.role != MessageRole::System);
        Self { turns: turns.cloned().collect() }
    }

    fn shown(&self, request: &Request) -> Request {
        let mut shown = request.clone();
        let is_turn = |message: &&mut Message| message.role != MessageRole::System;
        if request.purpose == Purpose::Sample {
            for (message, turn) in shown.messages.iter_mut().filter(is_turn).zip(&self.turns) {
                message.parts.clone_from(&turn.parts);
            }
            return shown;
        }
        let images = self.turns.iter().flat_map(|turn| &turn.parts);
        let images = images.filter(|part| matches!(part, Part::Image(_))).cloned();
        let user = |message: &&mut Message| message.role == MessageRole::User;
        if let Some(last) = shown.messages.iter_mut().rev().find(user) {
            last.parts.extend(images);
        }
        shown
    }
}

impl Layer for WithImages {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        engine.complete(&self.shown(request)).await
    }
}

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
