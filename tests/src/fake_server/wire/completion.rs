//! The body of a whole chat answer.

use serde_json::{Value, json};
use textgrad_core::{Choice, TokenLogprob, Usage};

/// One choice as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) content: Option<String>,
    pub(crate) finish_reason: String,
    pub(crate) logprobs: Vec<TokenLogprob>,
}

impl From<Choice> for Answer {
    fn from(choice: Choice) -> Self {
        Self {
            content: Some(choice.text),
            finish_reason: choice.finish_reason.into(),
            logprobs: choice.logprobs,
        }
    }
}

/// What the parts of one answer have in common.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
}

/// Tokens of a text where the engine does not count: one for four characters begun.
pub(crate) fn estimate_tokens(characters: u64) -> u64 {
    characters.div_ceil(4)
}

pub(super) fn usage_object(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total(),
        "prompt_tokens_details": { "cached_tokens": usage.cached_tokens },
    })
}

/// The tokens of an answer, null where the engine tells none.
pub(super) fn logprobs_object(tokens: &[TokenLogprob]) -> Value {
    let bytes = |token: &str| token.as_bytes().to_vec();
    let other = |(token, logprob): &(String, f64)| json!({ "token": token, "logprob": logprob, "bytes": bytes(token) });
    if tokens.is_empty() {
        return Value::Null;
    }
    let content: Vec<Value> = tokens
        .iter()
        .map(|TokenLogprob { token, logprob, top }| {
            let top: Vec<Value> = top.iter().map(other).collect();
            json!({ "token": token, "logprob": logprob, "bytes": bytes(token), "top_logprobs": top })
        })
        .collect();
    json!({ "content": content, "refusal": null })
}

/// A `chat.completion`.
pub(crate) fn completion(head: &Head, answers: &[Answer], usage: Usage) -> Value {
    let choices: Vec<Value> = answers
        .iter()
        .enumerate()
        .map(|(index, answer)| {
            json!({
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": answer.content,
                    "refusal": null,
                },
                "logprobs": logprobs_object(&answer.logprobs),
                "finish_reason": answer.finish_reason,
                "stop_reason": null,
            })
        })
        .collect();
    json!({
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
        "usage": usage_object(usage),
        "system_fingerprint": "fp_fake",
    })
}
