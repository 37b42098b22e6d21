//! `POST /v1/responses`: text in, text out.

use axum::body::Bytes;
use serde_json::{Value, json};
use textgrad_core::{Message, MessageRole};

use super::api::Api;
use super::error::ApiError;
use super::json::{field, set};
use super::reply::{Head, Reply};
use super::request::{Ask, expected, object};
use super::search::Progress;
use super::stream::pieces;

/// Responses.
#[derive(Default)]
pub(crate) struct Responses {
    /// The number of the next event.
    sequence: u64,
}

fn read(body: &[u8]) -> Result<Ask, ApiError> {
    let mut fields = object(body)?;
    let instructions = fields.remove("instructions");
    let input = fields.remove("input");
    let text = fields.remove("text").unwrap_or_default();
    let mut ask = Ask::common(fields, &["max_output_tokens"])?;
    match instructions {
        None => {}
        Some(Value::String(text)) if text.trim().is_empty() => {}
        Some(Value::String(text)) => ask.messages.push(Message::system(text)),
        Some(_) => return Err(expected("instructions", "a text")),
    }
    match input {
        Some(Value::String(text)) => ask.messages.push(Message::user(text)),
        Some(Value::Array(items)) => ask.turns(&items, "input")?,
        _ => return Err(expected("input", "a text or a list of messages")),
    }
    let format = field(field(&text, "format"), "type");
    if !format.is_null() && format != "text" {
        ask.direct.push("text.format".to_owned());
    }
    Ok(ask)
}

/// A response; one in progress where there is no answer yet.
fn response(head: &Head<'_>, reply: Option<&Reply<'_>>) -> Value {
    let Head { id, created, model, ask, sampling } = *head;
    let status = reply.map_or("in_progress", status);
    let output: Vec<Value> =
        reply.map(|reply| item(head, reply.text(), status)).into_iter().collect();
    let details = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
    let instructions = ask.messages.first().filter(|first| first.role == MessageRole::System);
    let mut response = json!({
        "id": id, "object": "response", "created_at": created, "status": status,
        "background": false, "error": null, "incomplete_details": details,
        "instructions": instructions.map(Message::text), "max_output_tokens": ask.sampling.max_tokens,
        "model": model, "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": false,
        "temperature": sampling.temperature, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": sampling.top_p, "truncation": "disabled",
        "usage": null, "user": null, "metadata": {},
    });
    let Some(reply) = reply else { return response };
    let tokens = reply.tokens;
    let usage = json!({
        "input_tokens": tokens.prompt_tokens,
        "input_tokens_details": {"cached_tokens": tokens.cached_tokens},
        "output_tokens": tokens.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
        "total_tokens": tokens.total(),
    });
    set(&mut response, "usage", usage);
    if let Some(own) = &reply.own {
        set(&mut response, "tpo", own.clone());
    }
    response
}

fn status(reply: &Reply<'_>) -> &'static str {
    match reply.choices.first().map(|first| first.finish_reason) {
        Some("length") => "incomplete",
        _ => "completed",
    }
}

/// The message of a response.
fn item(head: &Head<'_>, text: &str, status: &str) -> Value {
    let content: Vec<Value> = match status {
        "in_progress" => Vec::new(),
        _ => vec![part(text)],
    };
    json!({
        "id": message_id(head), "type": "message", "status": status, "role": "assistant", "content": content,
    })
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message_id(head: &Head<'_>) -> String {
    format!("msg-{}", head.id)
}

/// A field of the message's text, with its position.
fn of_text(head: &Head<'_>, name: &str, value: Value) -> Value {
    let mut fields = json!({"item_id": message_id(head), "output_index": 0, "content_index": 0});
    set(&mut fields, name, value);
    fields
}

impl Responses {
    fn event(&mut self, kind: &str, mut fields: Value) -> Bytes {
        set(&mut fields, "type", kind);
        set(&mut fields, "sequence_number", self.sequence);
        self.sequence += 1;
        format!("event: {kind}\ndata: {fields}\n\n").into()
    }
}

impl Api for Responses {
    const PREFIX: &'static str = "resp";
    const PATH: &'static str = "responses";

    fn read(body: &[u8]) -> Result<Ask, ApiError> {
        read(body)
    }

    fn whole(reply: &Reply<'_>) -> Value {
        response(&reply.head, Some(reply))
    }

    fn begin(&mut self, head: &Head<'_>) -> Vec<Bytes> {
        let begun = response(head, None);
        ["response.created", "response.in_progress"]
            .map(|kind| self.event(kind, json!({ "response": begun })))
            .into()
    }

    fn progress(&mut self, _: &Head<'_>, progress: &Progress) -> Vec<Bytes> {
        // An event of a kind that clients pass over.
        vec![self.event("tpo.scored", json!(progress))]
    }

    fn text(&mut self, head: &Head<'_>, text: &str) -> Vec<Bytes> {
        let begun = json!({"output_index": 0, "item": item(head, "", "in_progress")});
        let mut events = vec![
            self.event("response.output_item.added", begun),
            self.event("response.content_part.added", of_text(head, "part", part(""))),
        ];
        for piece in pieces(text) {
            let mut delta = of_text(head, "delta", piece.into());
            set(&mut delta, "logprobs", json!([]));
            events.push(self.event("response.output_text.delta", delta));
        }
        events
    }

    fn end(&mut self, reply: &Reply<'_>) -> Vec<Bytes> {
        let (head, text, status) = (&reply.head, reply.text(), status(reply));
        let mut done = of_text(head, "text", text.into());
        set(&mut done, "logprobs", json!([]));
        let ended = json!({"output_index": 0, "item": item(head, text, status)});
        vec![
            self.event("response.output_text.done", done),
            self.event("response.content_part.done", of_text(head, "part", part(text))),
            self.event("response.output_item.done", ended),
            self.event(&format!("response.{status}"), json!({ "response": Self::whole(reply) })),
        ]
    }

    fn error(&mut self, error: &ApiError) -> Vec<Bytes> {
        let body = error.body();
        let error = field(&body, "error");
        let fields = json!({
            "code": field(error, "code"), "message": field(error, "message"), "param": field(error, "param"),
        });
        vec![self.event("error", fields)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &Value) -> Result<Ask, ApiError> {
        read(body.to_string().as_bytes())
    }

    #[test]
    fn texts_and_messages_are_conversations() {
        let plain = ask(&json!({
            "model": "tpo", "input": "why?", "instructions": "be brief", "max_output_tokens": 9,
            "text": {"format": {"type": "text"}}, "tools": [], "store": false, "top_k": 4,
        }))
        .unwrap();
        assert_eq!(plain.query().unwrap().system(), Some("be brief"));
        assert_eq!((plain.sampling.max_tokens, plain.direct.len()), (Some(9), 0));
        assert_eq!(Value::Object(plain.sampling.extra), json!({"top_k": 4}));
        let turns = ask(&json!({"model": "tpo", "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "id": "r"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes?"}]},
            {"role": "user", "content": "why?"},
        ]}))
        .unwrap();
        let query = turns.query().unwrap();
        assert_eq!(query.turns().map(|(_, text)| text).collect::<Vec<_>>(), ["hi", "yes?", "why?"]);
    }

    #[test]
    fn what_no_search_serves_is_named() {
        let direct = ask(&json!({
            "model": "tpo", "tools": [{"type": "web_search"}], "previous_response_id": "resp-1",
            "text": {"format": {"type": "json_schema"}}, "input": [{"type": "function_call_output"}],
        }))
        .unwrap()
        .direct;
        let expected = [
            "tools",
            "previous_response_id",
            "input[0]: an item that is no message",
            "text.format",
        ];
        assert_eq!(direct, expected);
        assert!(ask(&json!({"model": "tpo"})).is_err());
        assert!(ask(&json!({"model": "tpo", "input": 7})).is_err());
    }
}
