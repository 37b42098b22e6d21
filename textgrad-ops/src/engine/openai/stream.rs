//! A reply put together from its chunks.

use std::collections::BTreeMap;

use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind};

use super::reply::{RawChoice, RawReply, read_usage};
use crate::engine::http::{Event, Events};

/// Reads a stream to its end.
///
/// # Errors
/// An error event; a broken connection; a stream that ends before all of its answers have.
pub(super) async fn collect(mut events: Box<Events>, n: u32) -> Result<RawReply, EngineError> {
    let mut reply = Accumulator::default();
    loop {
        let done = match events.next().await? {
            Event::Json(chunk) => {
                reply.add(&chunk);
                continue;
            }
            Event::Done => true,
            Event::End => false,
        };
        return reply.finish(done, n).map_err(|what| {
            let kind = if done { ErrorKind::BadResponse } else { ErrorKind::Connection };
            events.report().error(kind, what)
        });
    }
}

/// What came so far, by index: chunks of several answers are interleaved.
#[derive(Debug, Default)]
struct Accumulator {
    reply: RawReply,
    choices: BTreeMap<u64, RawChoice>,
}

impl Accumulator {
    fn add(&mut self, chunk: &Value) {
        if let Some(model) = chunk.get("model").and_then(Value::as_str) {
            model.clone_into(&mut self.reply.model);
        }
        if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
            self.reply.usage = read_usage(usage);
        }
        let choices = chunk.get("choices").and_then(Value::as_array).into_iter().flatten();
        for (place, piece) in (0..).zip(choices) {
            let index = piece.get("index").and_then(Value::as_u64).unwrap_or(place);
            let choice = self
                .choices
                .entry(index)
                .or_insert_with(|| RawChoice { index, ..RawChoice::default() });
            if let Some(text) = piece.pointer("/delta/content").and_then(Value::as_str) {
                choice.text.get_or_insert_default().push_str(text);
            }
            if let Some(reason) = piece.get("finish_reason").and_then(Value::as_str) {
                choice.finish_reason = Some(reason.to_owned());
            }
        }
    }

    /// The whole reply, or what is missing. An end without the server's end mark is only good if all `n`
    /// answers had ended before.
    fn finish(self, done: bool, n: u32) -> Result<RawReply, String> {
        let open = self.choices.values().filter(|choice| choice.finish_reason.is_none()).count();
        let ended = self.choices.len() - open;
        if open > 0 {
            return Err(format!(
                "the stream ended within an answer: {ended} of {} begun had a finish reason",
                self.choices.len()
            ));
        }
        if !done && u64::try_from(ended).is_ok_and(|ended| ended < u64::from(n)) {
            return Err(format!("the stream broke off after {ended} of {n} answers"));
        }
        Ok(RawReply { choices: self.choices.into_values().collect(), ..self.reply })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn piece(index: u64, delta: Value, reason: Value) -> Value {
        json!({"model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": reason}]})
    }

    fn add(chunks: &[Value]) -> Accumulator {
        let mut reply = Accumulator::default();
        for chunk in chunks {
            reply.add(chunk);
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
        ])
        .finish(true, 2)
        .unwrap();
        let texts: Vec<_> = reply
            .choices
            .iter()
            .map(|choice| (choice.index, choice.text.as_deref(), choice.finish_reason.as_deref()))
            .collect();
        assert_eq!(texts, [(0, Some("a1a2"), Some("stop")), (1, Some("b1b2"), Some("length"))]);
        assert_eq!((reply.usage.total(), reply.model.as_str()), (7, "m"));
    }

    #[test]
    fn an_answer_without_an_end_is_not_whole() {
        let open = [
            piece(0, json!({"content": "a"}), json!("stop")),
            piece(1, json!({"content": "b"}), Value::Null),
        ];
        for done in [true, false] {
            let what = add(&open).finish(done, 2).unwrap_err();
            assert!(what.contains("1 of 2 begun"), "{what}");
        }
    }

    #[test]
    fn without_an_end_mark_all_answers_must_have_ended() {
        let one = [piece(0, json!({"content": "a"}), json!("stop"))];
        assert!(add(&one).finish(false, 1).is_ok());
        assert!(add(&one).finish(true, 2).is_ok());
        assert_eq!(
            add(&one).finish(false, 2),
            Err("the stream broke off after 1 of 2 answers".into())
        );
        assert!(add(&[]).finish(false, 1).is_err());
    }

    #[test]
    fn an_answer_of_no_text_has_none() {
        let reply =
            add(&[piece(0, json!({"refusal": "no"}), json!("stop"))]).finish(true, 1).unwrap();
        assert_eq!(reply.choices[0].text, None);
    }
}
