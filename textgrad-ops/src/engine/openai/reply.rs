//! Replies in the wire format.

use serde_json::Value;
use textgrad_core::{TokenLogprob, Usage};

use crate::engine::http::error_in;
use crate::engine::wire::{Dialect, RawChoice, RawReply};

/// The way chat completions are written.
pub(super) enum Chat {}

impl Dialect for Chat {
    const REPLY: &'static str = "a chat completion with choices";
    const END_MARK: bool = true;
    const SENDS_N: bool = true;

    fn whole(value: &Value) -> Option<RawReply> {
        let choices = (0..).zip(value.get("choices")?.as_array()?);
        let mut choices: Vec<_> = choices
            .map(|(position, choice)| (index(choice, position), read_choice(choice)))
            .collect();
        choices.sort_by_key(|(index, _)| *index);
        Some(RawReply {
            // By position: some servers give all choices one index.
            choices: (0..).zip(choices.into_iter().map(|(_, choice)| choice)).collect(),
            usage: value.get("usage").map(read_usage).unwrap_or_default(),
            model: value.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
            ..RawReply::default()
        })
    }

    fn event(chunk: &Value, reply: &mut RawReply) {
        if let Some(model) = chunk.get("model").and_then(Value::as_str) {
            model.clone_into(&mut reply.model);
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            reply.usage = read_usage(usage);
        }
        let choices = chunk.get("choices").and_then(Value::as_array).into_iter().flatten();
        for (position, piece) in (0..).zip(choices) {
            let choice = reply.choice(index(piece, position));
            read_into(choice, piece, piece.get("delta"));
        }
    }
}

fn index(choice: &Value, position: u64) -> u64 {
    choice.get("index").and_then(Value::as_u64).unwrap_or(position)
}

fn read_choice(choice: &Value) -> RawChoice {
    let mut raw = RawChoice::default();
    read_into(&mut raw, choice, choice.get("message"));
    raw
}

/// Adds a choice or a piece of one, with its message or delta.
fn read_into(raw: &mut RawChoice, choice: &Value, message: Option<&Value>) {
    let message = message.unwrap_or(&Value::Null);
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    // Servers that send both names send the same under each.
    raw.reasoning
        .push_str(text("reasoning_content").or_else(|| text("reasoning")).unwrap_or_default());
    if let Some(refusal) = text("refusal").filter(|refusal| !refusal.is_empty()) {
        raw.refusal.get_or_insert_default().push_str(refusal);
    }
    if let Some(content) = message.get("content") {
        read_content(raw, content);
    }
    raw.logprobs.extend(read_logprobs(choice));
    raw.error = error_in(choice).or(raw.error.take());
    raw.finish(choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default());
}

/// Tokens as reported. A probability of 0, which JSON has no logarithm of, is no alternative.
fn read_logprobs(choice: &Value) -> Vec<TokenLogprob> {
    let read = |token: &Value| {
        let logprob = token.get("logprob")?.as_f64()?;
        Some((token.get("token")?.as_str()?.to_owned(), logprob))
    };
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let tokens = list(choice.pointer("/logprobs/content"));
    let tokens = tokens.iter().filter_map(|token| {
        let (text, logprob) = read(token)?;
        let top = list(token.get("top_logprobs")).iter().filter_map(read).collect();
        Some(TokenLogprob { token: text, logprob, top })
    });
    tokens.collect()
}

/// Adds a string, or a list of parts of text and reasoning, as some servers write it.
fn read_content(raw: &mut RawChoice, content: &Value) {
    match content {
        Value::String(text) => raw.push(text),
        Value::Array(parts) => {
            for part in parts {
                match part.get("type").and_then(Value::as_str) {
                    Some(kind @ ("thinking" | "reasoning")) => {
                        raw.reasoning.push_str(&texts(part.get(kind).unwrap_or(part)));
                    }
                    _ => part
                        .get("text")
                        .and_then(Value::as_str)
                        .into_iter()
                        .for_each(|text| raw.push(text)),
                }
            }
        }
        _ => {}
    }
}

/// All texts of a part of reasoning.
fn texts(part: &Value) -> String {
    match part {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(texts).collect(),
        Value::Object(fields) => fields.get("text").map(texts).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Tokens as reported; an invalid figure must not cost the choice.
fn read_usage(usage: &Value) -> Usage {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    Usage {
        prompt_tokens: count("/prompt_tokens"),
        completion_tokens: count("/completion_tokens"),
        cached_tokens: count("/prompt_tokens_details/cached_tokens"),
        reasoning_tokens: count("/completion_tokens_details/reasoning_tokens"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_reply_is_read() {
        let choice = |index: u64, content: Value, reason: Value| json!({"index": index, "message": {"role": "assistant", "content": content}, "finish_reason": reason});
        let reply = json!({
            "model": "m-1", "choices": [choice(1, json!("b"), json!("length")), choice(0, Value::Null, json!("stop"))],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 2}},
        });
        let raw = |text: Option<&str>, reason: &str| RawChoice {
            text: text.map(Into::into),
            finish_reason: Some(reason.into()),
            ..RawChoice::default()
        };
        let expected = RawReply {
            choices: [(0, raw(None, "stop")), (1, raw(Some("b"), "length"))].into(),
            usage: Usage {
                prompt_tokens: 3,
                completion_tokens: 4,
                cached_tokens: 2,
                ..Usage::default()
            },
            model: "m-1".into(),
            ..RawReply::default()
        };
        assert_eq!(Chat::whole(&reply), Some(expected));
        let bare = json!({"choices": [{"message": {"role": "assistant"}}]});
        assert_eq!(Chat::whole(&bare).unwrap().choices, [(0, RawChoice::default())].into());
        assert_eq!(Chat::whole(&json!({"choices": null})), None);
        assert_eq!(Chat::whole(&json!({"object": "list"})), None);
    }

    #[test]
    fn content_may_be_a_list_of_parts() {
        let parts = json!([{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let read = |content: &Value| {
            let mut raw = RawChoice::default();
            read_content(&mut raw, content);
            (raw.text, raw.reasoning)
        };
        assert_eq!(read(&parts), (Some("ab".into()), String::new()));
        assert_eq!(read(&json!([])), (None, String::new()));
        let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "reasoning", "text": "!"}, {"type": "text", "text": "a"}]);
        assert_eq!(read(&thinking), (Some("a".into()), "hm!".into()));
    }

    #[test]
    fn odd_usage_costs_no_answer() {
        let odd =
            json!({"prompt_tokens": -1, "completion_tokens": 2, "prompt_tokens_details": null});
        assert_eq!(read_usage(&odd), Usage { completion_tokens: 2, ..Usage::default() });
        assert_eq!(read_usage(&Value::Null), Usage::default());
    }

    fn piece(index: u64, delta: Value, reason: Value) -> Value {
        json!({"model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": reason}]})
    }

    fn add(chunks: &[Value]) -> RawReply {
        let mut reply = RawReply::default();
        for chunk in chunks {
            Chat::event(chunk, &mut reply);
        }
        reply
    }

    #[test]
    fn interleaved_answers_are_kept_apart() {
        let reply = add(&[
            piece(1, json!({"role": "assistant", "content": ""}), Value::Null),
            piece(0, json!({"role": "assistant"}), Value::Null),
            piece(1, json!({"content": "b1"}), Value::Null),
            piece(0, json!({"content": "a1"}), Value::Null),
            piece(1, json!({"content": "b2"}), json!("length")),
            piece(0, json!({"content": "a2"}), Value::Null),
            piece(0, json!({}), json!("stop")),
            json!({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 5}}),
        ]);
        assert_eq!(reply.missing(true, 2), None);
        let texts: Vec<_> = reply
            .choices
            .iter()
            .map(|(index, choice)| {
                (*index, choice.text.as_deref(), choice.finish_reason.as_deref())
            })
            .collect();
        assert_eq!(texts, [(0, Some("a1a2"), Some("stop")), (1, Some("b1b2"), Some("length"))]);
        assert_eq!((reply.usage.total(), reply.model.as_str()), (7, "m"));
    }

    #[test]
    fn logprobs_are_read_whole_and_in_pieces() {
        let token =
            |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": null});
        let mut first = token("7", -0.5);
        first["top_logprobs"] =
            json!([token("7", -0.5), token("8", -1.0), {"token": "9", "logprob": null}]);
        let logprobs = |tokens: Value| json!({"content": tokens, "refusal": null});
        let expected = [
            TokenLogprob {
                token: "7".into(),
                logprob: -0.5,
                top: vec![("7".into(), -0.5), ("8".into(), -1.0)],
            },
            TokenLogprob { token: "!".into(), logprob: -2.0, top: vec![] },
        ];
        let whole = json!({"choices": [{"message": {"content": "7!"}, "finish_reason": "stop",
            "logprobs": logprobs(json!([first.clone(), token("!", -2.0)]))}]});
        assert_eq!(Chat::whole(&whole).unwrap().choices[&0].logprobs, expected);
        let mut pieces = [
            piece(0, json!({"content": "7"}), Value::Null),
            piece(0, json!({"content": "!"}), json!("stop")),
        ];
        for (piece, token) in pieces.iter_mut().zip([first, token("!", -2.0)]) {
            piece["choices"][0]["logprobs"] = logprobs(json!([token]));
        }
        let streamed = add(&pieces);
        assert_eq!(streamed.missing(true, 1), None);
        assert_eq!(streamed.choices[&0].logprobs, expected);
        let response = streamed.into_response(1, false).unwrap();
        assert_eq!(response.choices[0].logprobs, expected);
    }

    #[test]
    fn an_answer_without_an_end_is_not_whole() {
        let open = [
            piece(0, json!({"content": "a"}), json!("stop")),
            piece(1, json!({"content": "b"}), Value::Null),
        ];
        for done in [true, false] {
            let what = add(&open).missing(done, 2).unwrap();
            assert!(what.contains("1 of 2 begun"), "{what}");
        }
    }

    #[test]
    fn without_an_end_mark_all_answers_must_have_ended() {
        let one = [piece(0, json!({"content": "a"}), json!("stop"))];
        assert_eq!(add(&one).missing(false, 1), None);
        assert_eq!(add(&one).missing(true, 2), None);
        assert_eq!(
            add(&one).missing(false, 2),
            Some("the stream broke off after 1 of 2 answers".into())
        );
        assert!(add(&[]).missing(false, 1).is_some());
    }

    #[test]
    fn an_answer_of_no_text_has_none() {
        let reply = add(&[piece(0, json!({"refusal": "no"}), json!("stop"))]);
        assert_eq!(reply.missing(true, 1), None);
        assert_eq!(reply.choices[&0].text, None);
    }
}
