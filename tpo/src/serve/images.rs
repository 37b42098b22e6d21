//! Images of a conversation, put back into the requests of its search.

use async_trait::async_trait;
use std::sync::Arc;
use textgrad_core::{
    Engine, EngineError, EngineInfo, EngineStatus, Message, MessageRole, Part, Purpose, Request,
    Response,
};

/// An engine that shows the images of a conversation with each request. A search carries texts only: samples get the
/// turns of the conversation as they are; losses, gradients and updates get the images behind their last message.
pub(crate) struct WithImages {
    engine: Arc<dyn Engine>,
    /// The turns of the conversation, without system messages.
    turns: Arc<[Message]>,
}

impl WithImages {
    pub(crate) fn new(engine: Arc<dyn Engine>, messages: &[Message]) -> Self {
        let turns = messages.iter().filter(|message| message.role != MessageRole::System);
        Self { engine, turns: turns.cloned().collect() }
    }

    fn shown(&self, request: &Request) -> Request {
        let mut shown = request.clone();
        let is_turn = |message: &&mut Message| message.role != MessageRole::System;
        if request.purpose == Purpose::Sample {
            for (message, turn) in shown.messages.iter_mut().filter(is_turn).zip(self.turns.iter())
            {
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

#[async_trait]
impl Engine for WithImages {
    fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    async fn status(&self) -> EngineStatus {
        self.engine.status().await
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.engine.complete(&self.shown(request)).await
    }
}
