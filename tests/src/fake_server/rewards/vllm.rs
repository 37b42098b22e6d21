//! `POST /classify` and `POST /pooling` of vLLM, open to anyone.

use serde::Deserialize;
use serde_json::{Value, json};

use super::score::{classes, number, results, sigmoid};
use super::{Reply, RewardServer, read, text};
use crate::fake_server::error::ApiError;
use crate::fake_server::fault::Fault;
use crate::fake_server::server::Shared;
use crate::fake_server::wire::{Conversation, OneOrMany, estimate_tokens};

#[derive(Debug, Deserialize)]
struct Body {
    model: Option<String>,
    messages: Option<Conversation>,
    input: Option<OneOrMany>,
    use_activation: Option<bool>,
    activation: Option<bool>,
    add_special_tokens: Option<bool>,
    #[serde(default)]
    add_generation_prompt: bool,
}

impl Body {
    /// The body as a version reads it: without the fields that came later.
    fn known_to(mut self, server: RewardServer) -> Self {
        if server != RewardServer::Vllm {
            self.messages = None;
            self.use_activation = None;
        }
        if server == RewardServer::Vllm0_10 {
            self.activation = None;
            self.add_special_tokens = None;
        }
        self
    }

    /// Whether scores go through a sigmoid, which they do unless the client says not to.
    fn has_activation(&self) -> bool {
        self.use_activation != Some(false) && self.activation != Some(false)
    }
}

pub(super) fn answer(
    shared: &Shared,
    server: RewardServer,
    path: &str,
    body: &[u8],
    fault: Option<&Fault>,
) -> Result<Reply, ApiError> {
    let mut body = read::<Body>(body)?.known_to(server);
    let pools = path == "/pooling";
    let head = shared.head(if pools { "pool" } else { "classify" }, body.model.take())?;
    let activation = body.has_activation();
    let (rewards, characters): (Vec<f64>, usize) = match (body.messages, body.input) {
        (Some(conversation), None) => {
            let mut pair = text::pair(conversation)?;
            let characters = pair.0.chars().count() + pair.1.chars().count();
            if body.add_generation_prompt {
                // The model then reads the beginning of an answer that is not there.
                pair = (pair.1, String::new());
            }
            let adds_bos = body.add_special_tokens.unwrap_or(false);
            (vec![text::score_conversation(shared, &pair, adds_bos)], characters)
        }
        (None, Some(input)) => {
            let texts = input.into_vec();
            if texts.is_empty() {
                return Err(ApiError::bad_request("input must not be empty."));
            }
            let adds_bos = body.add_special_tokens.unwrap_or(true);
            let rewards = texts.iter().map(|text| text::score(shared, text, adds_bos));
            (rewards.collect(), texts.iter().map(|text| text.chars().count()).sum())
        }
        _ if server == RewardServer::Vllm => {
            return Err(ApiError::bad_request("exactly one of messages and input is required."));
        }
        _ => return Err(ApiError::bad_request("Field required: input.")),
    };
    let data = rewards.iter().enumerate().map(|(index, reward)| {
        let score = if activation { sigmoid(*reward) } else { *reward };
        match pools {
            true => pooled(index, score, fault),
            false => classified(index, score, fault),
        }
    });
    let tokens = estimate_tokens(characters as u64);
    let body = json!({
        "id": head.id,
        "object": "list",
        "created": head.created,
        "model": head.model,
        "data": results(data, fault),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0 },
    });
    Ok(Reply { body, scored: rewards.len() })
}

fn classified(index: usize, score: f64, fault: Option<&Fault>) -> Value {
    let probs = classes(score, fault);
    let label = if probs.len() == 1 { "LABEL_0" } else { "LABEL_1" };
    json!({ "index": index, "label": label, "num_classes": probs.len(), "probs": probs })
}

/// A row per token, as of a model that scores each one: the last is that of the whole answer.
fn pooled(index: usize, score: f64, fault: Option<&Fault>) -> Value {
    let last = classes(score, fault);
    json!({ "index": index, "object": "pooling", "data": [[number(9.0, None)], last] })
}
