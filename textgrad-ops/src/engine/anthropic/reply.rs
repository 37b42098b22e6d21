//! Replies in the wire format.

use serde_json::Value;
use textgrad_core::Usage;

use crate::engine::wire::{Dialect, Pieces, RawChoice, RawReply};

/// The way messages are written.
pub(super) enum Messages {}

impl Dialect for Messages {
    const REPLY: &'static str = "a message with content";
    const END_MARK: bool = true;

    fn whole(value: &Value) -> Option<RawReply> {
        let blocks = value.get("content")?.as_array()?;
        let mut choice = RawChoice { finish_reason: reason(value), ..RawChoice::default() };
        for text in blocks.iter().filter_map(text) {
            choice.push(text);
        }
        Some(RawReply {
            choices: vec![choice],
            usage: usage(Usage::default(), value.get("usage")),
            model: model(value).unwrap_or_default(),
            refused: None,
        })
    }

    fn event(event: &Value, pieces: &mut Pieces) {
        match event.get("type").and_then(Value::as_str) {
            Some("message_start") => {
                let message = event.get("message").unwrap_or(&Value::Null);
                pieces.usage = usage(pieces.usage, message.get("usage"));
                pieces.model = model(message).unwrap_or_default();
                pieces.choice(0);
            }
            Some("content_block_start") => {
                if let Some(text) = event.get("content_block").and_then(text) {
                    pieces.choice(0).push(text);
                }
            }
            Some("content_block_delta") => {
                // Thoughts and signatures are deltas of other types, without a text.
                if let Some(text) = event.pointer("/delta/text").and_then(Value::as_str) {
                    pieces.choice(0).push(text);
                }
            }
            Some("message_delta") => {
                // Figures are totals so far, not differences.
                pieces.usage = usage(pieces.usage, event.get("usage"));
                if let Some(reason) = event.get("delta").and_then(reason) {
                    pieces.choice(0).finish_reason = Some(reason);
                }
            }
            Some("message_stop") => pieces.done = true,
            _ => {}
        }
    }
}

/// The text of a block of type `text`.
fn text(block: &Value) -> Option<&str> {
    let kind = block.get("type").and_then(Value::as_str);
    block.get("text").and_then(Value::as_str).filter(|_| kind == Some("text"))
}

fn model(message: &Value) -> Option<String> {
    Some(message.get("model")?.as_str()?.to_owned())
}

/// The reason for which an answer ended, by OpenAI's name where it has one.
fn reason(message: &Value) -> Option<String> {
    let reason = match message.get("stop_reason")?.as_str()? {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        other => other,
    };
    Some(reason.to_owned())
}

/// Tokens as reported, else as known before; totals never fall. Prompt tokens from and to the server's
/// cache are counted apart from the others.
fn usage(known: Usage, told: Option<&Value>) -> Usage {
    let count = |name: &str| told?.get(name)?.as_u64();
    let cached = count("cache_read_input_tokens");
    let read = count("input_tokens").map(|input| {
        let written = count("cache_creation_input_tokens").unwrap_or_default();
        input.saturating_add(written).saturating_add(cached.unwrap_or_default())
    });
    Usage {
        prompt_tokens: read.unwrap_or_default().max(known.prompt_tokens),
        completion_tokens: count("output_tokens").unwrap_or_default().max(known.completion_tokens),
        cached_tokens: cached.unwrap_or_default().max(known.cached_tokens),
    }
}
