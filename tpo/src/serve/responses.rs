//! `POST /v1/responses`: text in, text out.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use textgrad_core::{Message, MessageRole};
use tokio::time::Instant;

use super::app::{App, Asked};
use super::error::ApiError;
use super::json::{field, set};
use super::keys::Client;
use super::message::{Turn, message};
use super::reply::extension;
use super::request::{Ask, expected, object, whole};
use super::search::{Answered, Job, Progress, run};
use super::stream::{StreamForm, pieces, streamed};
use super::{finish, with_headers};

/// Fields that change no answer of a search.
const IGNORED: [&str; 12] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "include",
    "truncation",
    "parallel_tool_calls",
    "stream_options",
    "max_tool_calls",
];

pub(crate) async fn responses(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let client = parts.extensions.get::<Client>().copied().unwrap_or(Client(0));
    let ask = read(&app.body(body).await?)?;
    let job = match app.asked(ask, &parts.headers, client, arrived, "resp")? {
        Asked::Search(job) => job,
        Asked::Policy(ask) => {
            let what = ask.direct.first().map_or("the model policy", String::as_str);
            let message = format!(
                "{what} is not served here; POST /v1/chat/completions passes requests through to the policy"
            );
            return Err(ApiError::invalid(what, message));
        }
    };
    let permit = app.enter(client).await?;
    if job.ask.stream {
        return streamed(app, job, permit, ResponseStream { sequence: 0 }).await;
    }
    let listed = app.recent.begin(&job);
    let answered = run(&app, &job, None).await?;
    finish(&app, &job, &answered);
    drop((listed, permit));
    let body = response(&app, &job, Some(&answered));
    Ok(with_headers(Json(body).into_response(), &job, &answered))
}

fn read(body: &[u8]) -> Result<Ask, ApiError> {
    let mut fields = object(body)?;
    let mut ask = Ask::common(&mut fields)?;
    let max_tokens = whole(&mut fields, "max_output_tokens", u32::MAX.into())?;
    ask.sampling.max_tokens = max_tokens.and_then(|tokens| u32::try_from(tokens).ok());
    match fields.remove("instructions") {
        None => {}
        Some(Value::String(text)) => ask.messages.push(Message::system(text)),
        Some(_) => return Err(expected("instructions", "a text")),
    }
    match fields.remove("input") {
        Some(Value::String(text)) => ask.messages.push(Message::user(text)),
        Some(Value::Array(items)) => {
            for (position, item) in items.iter().enumerate() {
                let place = format!("input[{position}]");
                match field(item, "type").as_str() {
                    None | Some("message") => match message(item, &place)? {
                        Turn::Message(message) => ask.messages.push(message),
                        Turn::Direct(what) => ask.direct.push(what),
                    },
                    // Thoughts of earlier turns are no part of the conversation.
                    Some("reasoning") => {}
                    Some(_) => ask.direct.push(format!("{place}: an item that is no message")),
                }
            }
        }
        _ => return Err(expected("input", "a text or a list of messages")),
    }
    direct(&mut fields, &mut ask.direct);
    for name in IGNORED {
        fields.remove(name);
    }
    ask.sampling.extra = fields;
    Ok(ask)
}

/// Removes what no search serves, and names it.
fn direct(fields: &mut Map<String, Value>, found: &mut Vec<String>) {
    for name in
        ["tools", "tool_choice", "previous_response_id", "conversation", "prompt", "background"]
    {
        let value = fields.remove(name).unwrap_or_default();
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        if !(is_empty || value.is_null() || value == false || value == "none" || value == "auto") {
            found.push(name.to_owned());
        }
    }
    let text = fields.remove("text").unwrap_or_default();
    let format = field(field(&text, "format"), "type");
    if !format.is_null() && format != "text" {
        found.push("text.format".to_owned());
    }
}

/// A response; one in progress where there is no answer yet.
fn response(app: &App, job: &Job, answered: Option<&Answered>) -> Value {
    let is_cut =
        answered.and_then(|answered| answered.ranked.first()).is_some_and(|best| best.truncated);
    let status = match answered {
        None => "in_progress",
        Some(_) if is_cut => "incomplete",
        Some(_) => "completed",
    };
    let output: Vec<Value> =
        answered.map(|answered| item(job, &text(answered), status)).into_iter().collect();
    let details = is_cut.then(|| json!({"reason": "max_output_tokens"}));
    let instructions = job.ask.messages.first().filter(|first| first.role == MessageRole::System);
    let mut response = json!({
        "id": job.id, "object": "response", "created_at": job.created, "status": status,
        "background": false, "error": null, "incomplete_details": details,
        "instructions": instructions.map(Message::text), "max_output_tokens": job.ask.sampling.max_tokens,
        "model": job.model, "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": false,
        "temperature": job.config.sampling.temperature, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": [], "top_p": job.config.sampling.top_p, "truncation": "disabled",
        "usage": null, "user": null, "metadata": {},
    });
    if let Some(answered) = answered {
        let tokens = answered.usage.tokens;
        set(
            &mut response,
            "usage",
            json!({
                "input_tokens": tokens.prompt_tokens,
                "input_tokens_details": {"cached_tokens": tokens.cached_tokens},
                "output_tokens": tokens.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
                "total_tokens": tokens.total(),
            }),
        );
        set(&mut response, "tpo", extension(job, answered, app.simulated));
    }
    response
}

fn text(answered: &Answered) -> String {
    answered.ranked.first().map(|best| best.text.clone()).unwrap_or_default()
}

/// The message of a response.
fn item(job: &Job, text: &str, status: &str) -> Value {
    let content: Vec<Value> = match status {
        "in_progress" => Vec::new(),
        _ => vec![part(text)],
    };
    json!({
        "id": message_id(job), "type": "message", "status": status, "role": "assistant", "content": content,
    })
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message_id(job: &Job) -> String {
    format!("msg-{}", job.id)
}

/// The events of a streamed response.
struct ResponseStream {
    sequence: u64,
}

impl ResponseStream {
    fn event(&mut self, kind: &str, mut fields: Value) -> Bytes {
        set(&mut fields, "type", kind);
        set(&mut fields, "sequence_number", self.sequence);
        self.sequence += 1;
        format!("event: {kind}\ndata: {fields}\n\n").into()
    }
}

impl StreamForm for ResponseStream {
    fn begin(&mut self, app: &App, job: &Job) -> Vec<Bytes> {
        let begun = response(app, job, None);
        ["response.created", "response.in_progress"]
            .map(|kind| self.event(kind, json!({ "response": begun })))
            .into()
    }

    fn progress(&mut self, _: &Job, progress: &Progress) -> Vec<Bytes> {
        // An event of a kind that clients pass over.
        vec![self.event("tpo.scored", json!(progress))]
    }

    fn end(&mut self, app: &App, job: &Job, answered: &Answered) -> Vec<Bytes> {
        let (id, text) = (message_id(job), text(answered));
        let last = response(app, job, Some(answered));
        let status = field(&last, "status").as_str().unwrap_or("completed").to_owned();
        let place = json!({"item_id": id, "output_index": 0, "content_index": 0});
        let with = |name: &str, value: Value| {
            let mut fields = place.clone();
            set(&mut fields, name, value);
            fields
        };
        let begun = json!({"output_index": 0, "item": item(job, "", "in_progress")});
        let mut events = vec![
            self.event("response.output_item.added", begun),
            self.event("response.content_part.added", with("part", part(""))),
        ];
        for piece in pieces(&text) {
            let mut delta = with("delta", piece.into());
            set(&mut delta, "logprobs", json!([]));
            events.push(self.event("response.output_text.delta", delta));
        }
        let mut done = with("text", text.as_str().into());
        set(&mut done, "logprobs", json!([]));
        events.push(self.event("response.output_text.done", done));
        events.push(self.event("response.content_part.done", with("part", part(&text))));
        let ended = json!({"output_index": 0, "item": item(job, &text, &status)});
        events.push(self.event("response.output_item.done", ended));
        events.push(self.event(&format!("response.{status}"), json!({ "response": last })));
        events
    }

    fn error(&mut self, _: &Job, error: &ApiError) -> Vec<Bytes> {
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
            "input[0]: an item that is no message",
            "tools",
            "previous_response_id",
            "text.format",
        ];
        assert_eq!(direct, expected);
        assert!(ask(&json!({"model": "tpo"})).is_err());
        assert!(ask(&json!({"model": "tpo", "input": 7})).is_err());
    }
}
