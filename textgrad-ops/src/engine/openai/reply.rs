//! What comes back.

use serde_json::Value;
use textgrad_core::{Choice, FinishReason, Response, Usage};

/// One choice as it came: it may have no text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RawChoice {
    pub(super) index: u64,
    pub(super) text: Option<String>,
    pub(super) finish_reason: Option<String>,
}

/// A whole reply, whichever way it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RawReply {
    pub(super) choices: Vec<RawChoice>,
    pub(super) usage: Usage,
    pub(super) model: String,
}

impl RawReply {
    /// Reads a `chat.completion`; `None` if it has no list of choices.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let choices = value.get("choices")?.as_array()?;
        Some(Self {
            choices: (0..).zip(choices).map(|(place, choice)| read_choice(place, choice)).collect(),
            usage: value.get("usage").map(read_usage).unwrap_or_default(),
            model: value.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }

    /// The answers in the order of their index, at most `n` of them.
    ///
    /// # Errors
    /// What came instead, if no choice has a text.
    pub(super) fn into_response(mut self, n: u32) -> Result<Response, String> {
        self.choices.sort_by_key(|choice| choice.index);
        let reasons: Vec<&str> = self
            .choices
            .iter()
            .map(|choice| choice.finish_reason.as_deref().unwrap_or("none"))
            .collect();
        let none = match reasons.as_slice() {
            [] => "the reply has no choices".to_owned(),
            reasons => format!(
                "none of the {} choices has a text (finish reasons: {})",
                reasons.len(),
                reasons.join(", ")
            ),
        };
        let choices: Vec<Choice> = self
            .choices
            .into_iter()
            .filter_map(|choice| {
                // A reason that is absent is kept as one that nobody knows, never as a normal end.
                let reason = FinishReason::from(choice.finish_reason.unwrap_or_default());
                Some(Choice::new(choice.text?, reason))
            })
            .take(usize::try_from(n).unwrap_or(usize::MAX))
            .collect();
        if choices.is_empty() {
            return Err(none);
        }
        Ok(Response::new(choices).with_usage(self.usage).with_model(self.model))
    }
}

fn read_choice(place: u64, choice: &Value) -> RawChoice {
    let text = |name: &str| choice.get(name).and_then(Value::as_str).map(str::to_owned);
    RawChoice {
        index: choice.get("index").and_then(Value::as_u64).unwrap_or(place),
        text: choice.pointer("/message/content").and_then(read_content),
        finish_reason: text("finish_reason"),
    }
}

/// A string, or a list of parts of which the texts count, as some servers write it.
pub(super) fn read_content(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> =
                parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            (!texts.is_empty()).then(|| texts.concat())
        }
        _ => None,
    }
}

/// Tokens as far as they are told; an odd figure must not cost the answer it came with.
pub(super) fn read_usage(usage: &Value) -> Usage {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    Usage {
        prompt_tokens: count("/prompt_tokens"),
        completion_tokens: count("/completion_tokens"),
        cached_tokens: count("/prompt_tokens_details/cached_tokens"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn choice(index: u64, content: Value, reason: Value) -> Value {
        json!({"index": index, "message": {"role": "assistant", "content": content}, "finish_reason": reason})
    }

    fn read(choices: Vec<Value>, n: u32) -> Result<Response, String> {
        RawReply::read(&json!({"choices": choices})).unwrap().into_response(n)
    }

    #[test]
    fn a_whole_reply_is_read() {
        let reply = json!({
            "model": "m-1", "choices": [choice(1, json!("b"), json!("length")), choice(0, json!("a"), json!("stop"))],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 2}},
        });
        let response = RawReply::read(&reply).unwrap().into_response(2).unwrap();
        let expected = Response::new(vec![
            Choice::new("a", FinishReason::Stop),
            Choice::new("b", FinishReason::Length),
        ])
        .with_model("m-1")
        .with_usage(Usage { prompt_tokens: 3, completion_tokens: 4, cached_tokens: 2 });
        assert_eq!(response, expected);
    }

    #[test]
    fn choices_without_a_text_are_dropped() {
        let response = read(
            vec![
                choice(0, Value::Null, json!("content_filter")),
                choice(1, json!("kept"), json!("abort")),
                json!({"index": 2, "message": {"role": "assistant"}, "finish_reason": "stop"}),
                choice(3, json!(""), Value::Null),
            ],
            4,
        )
        .unwrap();
        assert_eq!(
            response.choices,
            [
                Choice::new("kept", FinishReason::Other("abort".into())),
                Choice::new("", FinishReason::Other(String::new()))
            ]
        );
    }

    #[test]
    fn no_usable_choice_is_told_with_the_reasons() {
        let none = read(
            vec![choice(1, Value::Null, Value::Null), choice(0, Value::Null, json!("length"))],
            2,
        );
        assert_eq!(
            none,
            Err("none of the 2 choices has a text (finish reasons: length, none)".into())
        );
        assert_eq!(read(vec![], 1), Err("the reply has no choices".into()));
        assert_eq!(RawReply::read(&json!({"choices": null})), None);
        assert_eq!(RawReply::read(&json!({"object": "list"})), None);
    }

    #[test]
    fn more_choices_than_asked_for_are_cut() {
        let many =
            (0..5).map(|index| choice(index, json!(index.to_string()), json!("stop"))).collect();
        let texts: Vec<String> =
            read(many, 2).unwrap().choices.into_iter().map(|choice| choice.text).collect();
        assert_eq!(texts, ["0", "1"]);
    }

    #[test]
    fn content_may_be_a_list_of_parts() {
        let parts = json!([{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(read_content(&parts), Some("ab".into()));
        assert_eq!(read_content(&json!([])), None);
    }

    #[test]
    fn odd_usage_costs_no_answer() {
        let odd =
            json!({"prompt_tokens": -1, "completion_tokens": 2, "prompt_tokens_details": null});
        assert_eq!(read_usage(&odd), Usage { completion_tokens: 2, ..Usage::default() });
        assert_eq!(read_usage(&Value::Null), Usage::default());
    }
}
