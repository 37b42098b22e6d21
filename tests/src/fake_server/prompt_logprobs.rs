//! `POST /tokenize` and `POST /v1/completions`, as far as a client needs them to learn how likely a text is:
//! vLLM's `prompt_logprobs`, and `echo` with `logprobs`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::echoed::Echoed;
use super::error::ApiError;
use super::server::Shared;
use super::tokens::{self, Token};

#[derive(Debug, Deserialize)]
struct Body {
    model: Option<String>,
    prompt: String,
    add_special_tokens: Option<bool>,
    prompt_logprobs: Option<u32>,
    #[serde(default)]
    echo: bool,
    logprobs: Option<u32>,
    max_tokens: Option<u32>,
}

fn read(body: &[u8]) -> Result<Body, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("The body is not valid: {error}.")))
}

pub(super) fn tokenize(shared: &Shared, body: &[u8]) -> Result<Value, ApiError> {
    let body = read(body)?;
    let tokens: Vec<u64> = tokens(shared, &body).iter().map(Token::id).collect();
    let count = tokens.len();
    Ok(json!({ "count": count, "max_model_len": 8192, "tokens": tokens, "token_strs": null }))
}

pub(super) fn complete(shared: &Shared, body: &[u8]) -> Result<Value, ApiError> {
    let mut body = read(body)?;
    let head = shared.head("cmpl", body.model.take())?;
    let tokens = tokens(shared, &body);
    let prompt_logprobs = body.prompt_logprobs.map(|more| {
        // Nothing is said about the first.
        let rest = tokens.iter().skip(1).map(|token| entry(shared, token, more));
        std::iter::once(Value::Null).chain(rest).collect::<Vec<Value>>()
    });
    let written = u32::from(body.max_tokens != Some(0));
    let echoed = Echoed {
        style: shared.options.echo_style,
        logprob: &*shared.logprob,
        prompt: &body.prompt,
        tokens: &tokens,
        is_written: written > 0,
    };
    let logprobs = body.logprobs.map(|more| echoed.logprobs(body.echo, more));
    let text =
        if body.echo { format!("{}{}", body.prompt, echoed.written()) } else { echoed.written() };
    Ok(json!({
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": [{
            "index": 0, "text": text, "logprobs": logprobs, "finish_reason": "length",
            "stop_reason": null, "prompt_logprobs": prompt_logprobs,
        }],
        "usage": {
            "prompt_tokens": tokens.len(), "completion_tokens": written,
            "total_tokens": tokens.len() as u64 + u64::from(written),
        },
    }))
}

fn tokens(shared: &Shared, body: &Body) -> Vec<Token> {
    let bos = shared.options.bos.as_deref();
    tokens::tokens(bos.filter(|_| body.add_special_tokens.unwrap_or(true)), &body.prompt)
}

/// A token of the prompt, and the likeliest ones where they are asked for, which may be others.
fn entry(shared: &Shared, token: &Token, more: u32) -> Value {
    let mut entry = Map::new();
    for other in 1..=u64::from(more) {
        let likelier = json!({ "logprob": -0.001, "rank": other, "decoded_token": "?" });
        entry.insert(other.to_string(), likelier);
    }
    let text = token.text();
    let logprob = (shared.logprob)(&text);
    let own = json!({ "logprob": logprob, "rank": more + 1, "decoded_token": text });
    entry.insert(token.id().to_string(), own);
    Value::Object(entry)
}
