//! `POST /v1/chat/completions` of a reward model on NVIDIA NIM: scores in words.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Reply, read, text};
use crate::fake_server::error::ApiError;
use crate::fake_server::fault::Fault;
use crate::fake_server::server::Shared;
use crate::fake_server::wire::Conversation;

#[derive(Debug, Deserialize)]
struct Body {
    model: Option<String>,
    messages: Conversation,
}

pub(super) fn answer(
    shared: &Shared,
    body: &[u8],
    fault: Option<&Fault>,
) -> Result<Reply, ApiError> {
    let body: Body = read(body)?;
    let head = shared.head("chat", body.model)?;
    let score = text::score_conversation(shared, &text::pair(body.messages)?, false);
    let content = match fault {
        Some(Fault::NullScore) => Value::Null,
        Some(Fault::NanScore) => json!("reward:NaN"),
        Some(Fault::StringScore) => json!("reward:good"),
        Some(Fault::FewerScores) => json!("verbosity:2.5"),
        _ => json!(format!("verbosity:2.5,reward:{score}")),
    };
    let choices = json!([{
        "index": 0,
        "message": { "role": "assistant", "content": content },
        "finish_reason": "length",
    }]);
    let body = json!({
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
    });
    Ok(Reply { body, scored: 1 })
}
