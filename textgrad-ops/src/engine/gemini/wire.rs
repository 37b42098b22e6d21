//! Requests and replies of `generateContent`.

use serde_json::{Map, Value, json};
use textgrad_core::{EngineError, MessageRole, Part, Request, Usage};

use crate::engine::wire::{
    Conversation, Dialect, RawReply, check, json_schema, refuse_own, set, stop, take_object,
    without_logprobs,
};

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

/// The body of a request for `n` answers. Parameters that are not set are not sent.
pub(super) fn body(request: &Request, n: u32) -> Result<Map<String, Value>, EngineError> {
    let sampling = &request.sampling;
    check(sampling)?;
    refuse_own(&sampling.extra, "", &OWN)?;
    without_logprobs(sampling)?;
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
    let mut body = sampling.extra.clone();
    body.insert("contents".into(), contents.into());
    set(&mut body, "systemInstruction", system.map(|text| json!({"parts": [{"text": text}]})));
    let mut config = take_object(&mut body, "generationConfig", &OWN_CONFIG)?;
    set(&mut config, "candidateCount", Some(n).filter(|n| *n != 1));
    set(&mut config, "temperature", sampling.temperature);
    set(&mut config, "topP", sampling.top_p);
    set(&mut config, "frequencyPenalty", sampling.frequency_penalty);
    set(&mut config, "presencePenalty", sampling.presence_penalty);
    set(&mut config, "maxOutputTokens", sampling.max_tokens);
    set(&mut config, "seed", sampling.seed.map(|seed| seed & SEED_BITS));
    set(&mut config, "stopSequences", stop(sampling));
    if let Some(schema) = json_schema(request)? {
        config.insert("responseMimeType".into(), "application/json".into());
        config.insert("responseJsonSchema".into(), Value::Object(schema.schema().clone()));
    }
    if !config.is_empty() {
        body.insert("generationConfig".into(), Value::Object(config));
    }
    Ok(body)
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"text": text}),
        Part::Image(image) => {
            json!({"inlineData": {"mimeType": image.media_type(), "data": image.to_base64()}})
        }
    }
}

/// The way `generateContent` answers. The events of a stream have the shape of whole replies.
pub(super) enum Candidates {}

impl Dialect for Candidates {
    const REPLY: &'static str = "a reply with candidates";
    const END_MARK: bool = false;

    fn whole(value: &Value) -> Option<RawReply> {
        let known = ["candidates", "promptFeedback", "usageMetadata"];
        if !known.iter().any(|field| value.get(field).is_some_and(|value| !value.is_null())) {
            return None;
        }
        let mut reply = RawReply::default();
        Self::event(value, &mut reply);
        Some(reply)
    }

    fn event(value: &Value, reply: &mut RawReply) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        if let Some(model) = text("/modelVersion") {
            model.clone_into(&mut reply.model);
        }
        if let Some(reported) = value.get("usageMetadata").filter(|reported| reported.is_object()) {
            reply.usage = usage(reported);
        }
        if let Some(reason) = text("/promptFeedback/blockReason") {
            reply.refused = Some(reason.to_owned());
        }
        let candidates = value.get("candidates").and_then(Value::as_array).into_iter().flatten();
        for (place, candidate) in (0..).zip(candidates) {
            let index = candidate.get("index").and_then(Value::as_u64).unwrap_or(place);
            let choice = reply.choice(index);
            let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
            for part in parts.into_iter().flatten() {
                let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
                match part.get("thought").and_then(Value::as_bool) {
                    Some(true) => choice.reasoning.push_str(text),
                    _ if text.is_empty() => {}
                    _ => choice.push(text),
                }
            }
            if let Some(reason) = candidate.get("finishReason").and_then(Value::as_str) {
                choice.finish_reason = Some(named(reason).to_owned());
                if named(reason) == "content_filter" {
                    let words = candidate.get("finishMessage").and_then(Value::as_str);
                    choice.refusal = Some(words.unwrap_or(reason).to_owned());
                }
            }
        }
    }
}

/// The reason for which an answer ended, by OpenAI's name where it has one.
fn named(reason: &str) -> &str {
    match reason {
        "STOP" => "stop",
        "MAX_TOKENS" => "length",
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "OTHER" => "content_filter",
        reason if reason.starts_with("IMAGE_") => "content_filter",
        // Calls of tools that no request offers: the same request is likely to bring one again.
        reason if reason.ends_with("_CALL") || reason.ends_with("_TOOL_CALLS") => "content_filter",
        other => other,
    }
}

/// Tokens as reported. Thoughts are completion tokens as well.
fn usage(reported: &Value) -> Usage {
    let count = |name: &str| reported.get(name).and_then(Value::as_u64).unwrap_or_default();
    Usage {
        prompt_tokens: count("promptTokenCount"),
        completion_tokens: count("candidatesTokenCount")
            .saturating_add(count("thoughtsTokenCount")),
        cached_tokens: count("cachedContentTokenCount"),
        reasoning_tokens: count("thoughtsTokenCount"),
    }
}
