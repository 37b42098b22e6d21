//! Requests in the wire format.

use serde_json::{Map, Value, json};
use textgrad_core::{EngineError, ErrorKind, MessageRole, Part, Request, Sampling};

use crate::engine::wire::{Conversation, check, numbers, without_logprobs};

/// Seeds are signed 32-bit numbers.
const SEED_BITS: u64 = 0x7fff_ffff;

/// Fields of the body that have a setting of their own, and the setting.
const OWN: [(&str, &str); 2] =
    [("contents", "Request::messages"), ("systemInstruction", "Request::messages")];

/// Fields of `generationConfig` that have a setting of their own, and the setting.
const OWN_CONFIG: [(&str, &str); 10] = [
    ("candidateCount", "Sampling::n"),
    ("temperature", "Sampling::temperature"),
    ("topP", "Sampling::top_p"),
    ("maxOutputTokens", "Sampling::max_tokens"),
    ("seed", "Sampling::seed"),
    ("stopSequences", "Sampling::stop"),
    ("frequencyPenalty", "Sampling::frequency_penalty"),
    ("presencePenalty", "Sampling::presence_penalty"),
    ("responseMimeType", "Request::format"),
    ("responseJsonSchema", "Request::format"),
];

/// The body of a request for `n` answers.
pub(super) fn body(request: &Request, n: u32) -> Result<Value, EngineError> {
    check(&request.sampling, &OWN)?;
    without_logprobs(&request.sampling)?;
    let Conversation { system, turns } =
        Conversation::new(&request.messages, |text| !text.is_empty())?;
    let contents: Vec<Value> = turns
        .iter()
        .map(|turn| {
            let role = if turn.role == MessageRole::Assistant { "model" } else { "user" };
            let parts: Vec<Value> = turn.parts.iter().copied().map(part).collect();
            json!({"role": role, "parts": parts})
        })
        .collect();
    let mut body = request.sampling.extra.clone();
    body.insert("contents".into(), contents.into());
    if let Some(system) = system {
        body.insert("systemInstruction".into(), json!({"parts": [{"text": system}]}));
    }
    let mut config = extra_config(body.remove("generationConfig"))?;
    config.extend(sampled(&request.sampling, n));
    if let Some(format) = &request.format {
        config.insert("responseMimeType".into(), "application/json".into());
        config.insert("responseJsonSchema".into(), Value::Object(format.schema().clone()));
    }
    if !config.is_empty() {
        body.insert("generationConfig".into(), Value::Object(config));
    }
    Ok(Value::Object(body))
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"text": text}),
        Part::Image(image) => {
            json!({"inlineData": {"mimeType": image.media_type(), "data": image.to_base64()}})
        }
    }
}

/// The generation settings that an extra field brings.
fn extra_config(extra: Option<Value>) -> Result<Map<String, Value>, EngineError> {
    let wrong = |message: String| Err(EngineError::new(ErrorKind::InvalidRequest, message));
    let config = match extra {
        None => Map::new(),
        Some(Value::Object(config)) => config,
        Some(_) => {
            return wrong("expected the extra field `generationConfig` to be an object".into());
        }
    };
    match OWN_CONFIG.iter().find(|(name, _)| config.contains_key(*name)) {
        Some((name, setting)) => wrong(format!(
            "expected no extra field `generationConfig.{name}`: it has a setting of its own, {setting}"
        )),
        None => Ok(config),
    }
}

/// How answers are drawn. Fields that are not set are not sent.
fn sampled(sampling: &Sampling, n: u32) -> Map<String, Value> {
    let mut config = Map::new();
    if n != 1 {
        config.insert("candidateCount".into(), n.into());
    }
    for (name, number) in numbers(sampling) {
        let name = match name {
            "top_p" => "topP",
            "frequency_penalty" => "frequencyPenalty",
            "presence_penalty" => "presencePenalty",
            other => other,
        };
        if let Some(number) = number {
            config.insert(name.into(), number.into());
        }
    }
    if let Some(tokens) = sampling.max_tokens {
        config.insert("maxOutputTokens".into(), tokens.into());
    }
    if let Some(seed) = sampling.seed {
        config.insert("seed".into(), (seed & SEED_BITS).into());
    }
    if !sampling.stop.is_empty() {
        config.insert("stopSequences".into(), json!(sampling.stop));
    }
    config
}
