//! Prompts that a server truncates without an error, and replies that are truncated.

use parking_lot::Mutex;
use serde_json::Value;
use textgrad_core::{Purpose, Response, Usage};

/// Looks for servers that truncate prompts without an error.
#[derive(Debug, Default)]
pub(crate) struct TruncationWatch {
    is_reported: bool,
    last: Option<(usize, u64)>,
}

impl TruncationWatch {
    /// Smallest number of characters of a prompt that is looked at.
    const MIN_CHARS: usize = 2_000;
    /// Most characters that a token stands for, on average over a long prompt. Text in English has about 4.
    const MAX_CHARS_PER_TOKEN: u64 = 16;

    /// Whether the prompt tokens of a reply to a prompt of so many [characters](prompt_chars) show for the first time
    /// that the prompt was truncated: too few for its length, or as many as for a prompt of another length.
    pub(crate) fn observe(&mut self, chars: usize, usage: Usage) -> bool {
        let tokens = usage.prompt_tokens;
        if self.is_reported || tokens == 0 || chars < Self::MIN_CHARS {
            return false;
        }
        let too_few = tokens.saturating_mul(Self::MAX_CHARS_PER_TOKEN) < chars as u64;
        let last = self.last.replace((chars, tokens));
        let constant =
            last.is_some_and(|(before, same)| same == tokens && before.abs_diff(chars) > chars / 4);
        self.is_reported = too_few || constant;
        self.is_reported
    }
}

/// The purposes of truncated replies that were reported.
#[derive(Debug, Default)]
pub(crate) struct TruncatedReplies(Mutex<Vec<Purpose>>);

impl TruncatedReplies {
    /// Warns of the first truncated reply of each purpose whose replies are used as they are.
    pub(crate) fn warn(&self, engine: &str, purpose: Purpose, response: &Response) {
        let is_used = matches!(purpose, Purpose::Loss | Purpose::Gradient | Purpose::Reduce);
        if !is_used || !response.choices.iter().any(|choice| choice.finish_reason.is_cut_off()) {
            return;
        }
        let mut reported = self.0.lock();
        if !reported.contains(&purpose) {
            reported.push(purpose);
            tracing::warn!(
                engine,
                %purpose,
                "a reply was truncated (finish reason length) and is used as it is; raise max tokens"
            );
        }
    }
}

/// The characters of all texts in the messages of a body.
pub(crate) fn prompt_chars(body: &Value) -> usize {
    fn chars(value: &Value) -> usize {
        match value {
            Value::String(text) => text.chars().count(),
            Value::Array(items) => items.iter().map(chars).sum(),
            // Images are no text.
            Value::Object(fields) => ["content", "parts", "text"]
                .iter()
                .filter_map(|name| fields.get(*name))
                .map(chars)
                .sum(),
            _ => 0,
        }
    }
    let texts = ["messages", "system", "contents", "systemInstruction"];
    texts.iter().filter_map(|name| body.get(*name)).map(chars).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn observed(watch: &mut TruncationWatch, chars: usize, tokens: u64) -> bool {
        let body = json!({"messages": [{"role": "user", "content": "x".repeat(chars)}]});
        watch.observe(prompt_chars(&body), Usage { prompt_tokens: tokens, ..Usage::default() })
    }

    /// Kind: Silent truncation | prompt tokens far below the length of the prompt | one warning with what to set
    #[test]
    fn too_few_tokens_are_reported_once() {
        let mut watch = TruncationWatch::default();
        assert!(!observed(&mut watch, 1_999, 1), "short prompts are not looked at");
        assert!(!observed(&mut watch, 9_000, 2_000));
        assert!(!observed(&mut watch, 9_000, 0), "no usage is no sign");
        assert!(observed(&mut watch, 40_000, 2_048));
        assert!(!observed(&mut watch, 40_000, 2_048));
    }

    /// Kind: Silent truncation | equal prompt tokens for prompts of different lengths | one warning with what to set
    #[test]
    fn a_constant_number_of_tokens_is_reported() {
        let mut watch = TruncationWatch::default();
        assert!(!observed(&mut watch, 20_000, 4_096));
        assert!(!observed(&mut watch, 20_500, 4_096), "about the same length");
        assert!(observed(&mut watch, 30_000, 4_096));
    }
}
