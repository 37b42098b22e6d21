//! Replies in the wire format.

use serde_json::Value;
use textgrad_core::Usage;

use crate::engine::wire::{Dialect, Pieces, RawReply};

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
        let mut pieces = Pieces::default();
        Self::event(value, &mut pieces);
        Some(pieces.into_reply())
    }

    fn event(value: &Value, pieces: &mut Pieces) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        if let Some(model) = text("/modelVersion") {
            model.clone_into(&mut pieces.model);
        }
        if let Some(told) = value.get("usageMetadata").filter(|told| told.is_object()) {
            pieces.usage = usage(told);
        }
        if let Some(reason) = text("/promptFeedback/blockReason") {
            pieces.refused = Some(reason.to_owned());
        }
        let candidates = value.get("candidates").and_then(Value::as_array).into_iter().flatten();
        for (place, candidate) in (0..).zip(candidates) {
            let index = candidate.get("index").and_then(Value::as_u64).unwrap_or(place);
            let choice = pieces.choice(index);
            let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
            for part in parts.into_iter().flatten() {
                let is_thought = part.get("thought").and_then(Value::as_bool).unwrap_or_default();
                if let Some(text) = part.get("text").and_then(Value::as_str).filter(|_| !is_thought)
                {
                    choice.push(text);
                }
            }
            if let Some(reason) = candidate.get("finishReason").and_then(Value::as_str) {
                choice.finish_reason = Some(named(reason).to_owned());
            }
        }
    }
}

/// The reason for which an answer ended, by OpenAI's name where it has one.
fn named(reason: &str) -> &str {
    match reason {
        "STOP" => "stop",
        "MAX_TOKENS" => "length",
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => "content_filter",
        other => other,
    }
}

/// Tokens as reported. Thoughts are completion tokens as well.
fn usage(told: &Value) -> Usage {
    let count = |name: &str| told.get(name).and_then(Value::as_u64).unwrap_or_default();
    Usage {
        prompt_tokens: count("promptTokenCount"),
        completion_tokens: count("candidatesTokenCount")
            .saturating_add(count("thoughtsTokenCount")),
        cached_tokens: count("cachedContentTokenCount"),
    }
}
