//! Token counts in replies that pass through, whole or as a stream.

use serde_json::Value as Json;
use textgrad_core::Usage;

use super::json::field;

/// The longest reply, or line of a stream, that is looked at, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Looks for the usage of a reply while it passes. The last one counts: streams of some servers have one in each event.
#[derive(Default)]
pub(super) struct UsageScan {
    /// The line so far; a whole reply may be one or many.
    line: Vec<u8>,
    is_events: bool,
    /// Whether the line is too long to be looked at.
    is_skipped: bool,
    usage: Option<Usage>,
}

impl UsageScan {
    pub(super) fn new(is_events: bool) -> Self {
        Self { is_events, ..Self::default() }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        if !self.is_events {
            return self.append(piece);
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.append(part);
            if part.ends_with(b"\n") {
                self.look();
            }
        }
    }

    /// The usage, at the end of the reply.
    pub(super) fn end(&mut self) -> Option<Usage> {
        self.look();
        self.usage
    }

    fn append(&mut self, part: &[u8]) {
        self.is_skipped |= self.line.len() + part.len() > MAX_BYTES;
        if !self.is_skipped {
            self.line.extend_from_slice(part);
        }
    }

    fn look(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_skipped) {
            return;
        }
        let json = match self.is_events {
            true => line.strip_prefix(b"data:").unwrap_or_default(),
            false => &line,
        };
        if let Ok(json) = serde_json::from_slice::<Json>(json) {
            self.usage = usage(&json).or(self.usage);
        }
    }
}

/// The usage in an answer of chat completions or responses, or in an event of either.
fn usage(reply: &Json) -> Option<Usage> {
    let own = field(reply, "usage");
    let counts = if own.is_object() { own } else { field(field(reply, "response"), "usage") };
    let count = |name: &str| field(counts, name).as_u64();
    let part = |names: [&str; 2], name: &str| {
        let details = names.iter().find_map(|details| field(field(counts, details), name).as_u64());
        details.unwrap_or_default()
    };
    Some(Usage {
        prompt_tokens: count("prompt_tokens").or_else(|| count("input_tokens"))?,
        completion_tokens: count("completion_tokens")
            .or_else(|| count("output_tokens"))
            .unwrap_or_default(),
        cached_tokens: part(["prompt_tokens_details", "input_tokens_details"], "cached_tokens"),
        reasoning_tokens: part(
            ["completion_tokens_details", "output_tokens_details"],
            "reasoning_tokens",
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scanned(is_events: bool, text: &str) -> Option<(u64, u64, u64)> {
        let mut scan = UsageScan::new(is_events);
        text.as_bytes().chunks(7).for_each(|piece| scan.push(piece));
        let usage = scan.end()?;
        Some((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens))
    }

    #[test]
    fn usage_is_found_in_replies_and_events_of_both_apis() {
        let chat = json!({"usage": {
            "prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2},
        }});
        let responses = json!({"usage": {"input_tokens": 3, "output_tokens": 4}});
        assert_eq!(scanned(false, &format!("{chat:#}")), Some((3, 4, 2)));
        assert_eq!(scanned(false, &responses.to_string()), Some((3, 4, 0)));
        let events = format!("data: {{\"usage\": null}}\n\ndata: {chat}\n\ndata: [DONE]\n\n");
        assert_eq!(scanned(true, &events), Some((3, 4, 2)));
        let event = format!("event: done\ndata: {}\n\n", json!({ "response": responses }));
        assert_eq!(scanned(true, &event), Some((3, 4, 0)));
        for text in ["", "{}", "no JSON", "data: {}\n"] {
            assert_eq!((scanned(false, text), scanned(true, text)), (None, None), "{text}");
        }
    }
}
