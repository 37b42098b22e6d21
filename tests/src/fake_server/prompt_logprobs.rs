//! `POST /tokenize` and `POST /v1/completions` of vLLM, as far as a client needs them to learn how likely a
//! text is: `prompt_logprobs`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::server::Shared;

#[derive(Debug, Deserialize)]
struct Body {
    model: Option<String>,
    prompt: String,
    add_special_tokens: Option<bool>,
    prompt_logprobs: Option<u32>,
}

fn read(body: &[u8]) -> Result<Body, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("The body is not valid: {error}.")))
}

pub(super) fn tokenize(shared: &Shared, body: &[u8]) -> Result<Value, ApiError> {
    let body = read(body)?;
    let tokens: Vec<u64> = tokens(shared, &body).iter().map(|token| id(token)).collect();
    let count = tokens.len();
    Ok(json!({ "count": count, "max_model_len": 8192, "tokens": tokens, "token_strs": null }))
}

pub(super) fn complete(shared: &Shared, body: &[u8]) -> Result<Value, ApiError> {
    let mut body = read(body)?;
    let head = shared.head("cmpl", body.model.take())?;
    let logprobs = body.prompt_logprobs.map(|more| {
        let tokens = tokens(shared, &body);
        // Nothing is said about the first.
        let rest = tokens.iter().skip(1).map(|token| entry(shared, token, more));
        std::iter::once(Value::Null).chain(rest).collect::<Vec<Value>>()
    });
    Ok(json!({
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": [{
            "index": 0, "text": " x", "logprobs": null, "finish_reason": "length",
            "stop_reason": null, "prompt_logprobs": logprobs,
        }],
    }))
}

/// A token of the prompt, and the likeliest ones where they are asked for, which may be others.
fn entry(shared: &Shared, token: &str, more: u32) -> Value {
    let mut entry = Map::new();
    for other in 1..=u64::from(more) {
        let likelier = json!({ "logprob": -0.001, "rank": other, "decoded_token": "?" });
        entry.insert(other.to_string(), likelier);
    }
    let logprob = (shared.logprob)(token);
    let own = json!({ "logprob": logprob, "rank": more + 1, "decoded_token": token });
    entry.insert(id(token).to_string(), own);
    Value::Object(entry)
}

/// A toy tokenizer: a token begins at white space and at `<`, and ends behind `>`.
fn tokens(shared: &Shared, body: &Body) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    if let Some(bos) = &shared.options.bos
        && body.add_special_tokens.unwrap_or(true)
    {
        tokens.push(bos.clone());
    }
    let mut open = false;
    for character in body.prompt.chars() {
        let begins = !open || character.is_whitespace() || character == '<';
        match tokens.last_mut() {
            Some(token) if !begins => token.push(character),
            _ => tokens.push(character.to_string()),
        }
        open = character != '>';
    }
    tokens
}

/// FNV-1a of the token, above the numbers of the likelier ones.
fn id(token: &str) -> u64 {
    let hash = token.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    1000 + hash % 1_000_000_000
}
