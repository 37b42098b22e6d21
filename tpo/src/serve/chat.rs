//! `POST /v1/chat/completions`.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::api::Api;
use super::error::ApiError;
use super::reply::{Head, Reply, ReplyChoice};
use super::request::{Ask, set};
use super::search::Progress;
use super::stream::{data, pieces};

/// Chat completions.
#[derive(Default)]
pub(crate) struct Chat;

fn chunk(head: &Head<'_>, choices: &Value) -> Value {
    json!({
        "id": head.id, "object": "chat.completion.chunk", "created": head.created, "model": head.model,
        "choices": choices,
    })
}

fn delta(head: &Head<'_>, index: usize, delta: &Value, finish_reason: Option<&str>) -> Value {
    let choice = json!([{
        "index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
    }]);
    chunk(head, &choice)
}

/// A text in chunks of a choice.
fn text(head: &Head<'_>, index: usize, text: &str) -> impl Iterator<Item = Bytes> {
    pieces(text)
        .into_iter()
        .map(move |piece| data(&delta(head, index, &json!({"content": piece}), None)))
}

impl Api for Chat {
    const PREFIX: &'static str = "chatcmpl";
    const PATH: &'static str = "chat/completions";

    fn read(body: &[u8]) -> Result<Ask, ApiError> {
        Ask::chat(body)
    }

    fn whole(reply: &Reply<'_>) -> Value {
        let Head { id, created, model, .. } = reply.head;
        let choice = |(index, choice): (usize, &ReplyChoice<'_>)| {
            let mut json = json!({
                "index": index, "logprobs": null, "finish_reason": choice.finish_reason,
                "message": {"role": "assistant", "content": choice.text, "refusal": null},
            });
            if let Some(own) = &choice.own {
                set(&mut json, "tpo", own.clone());
            }
            json
        };
        let choices: Vec<Value> = reply.choices.iter().enumerate().map(choice).collect();
        let mut body = json!({
            "id": id, "object": "chat.completion", "created": created, "model": model,
            "choices": choices, "usage": usage(reply),
        });
        if let Some(own) = &reply.own {
            set(&mut body, "tpo", own.clone());
        }
        body
    }

    fn begin(&mut self, head: &Head<'_>) -> Vec<Bytes> {
        vec![data(&delta(head, 0, &json!({"role": "assistant", "content": ""}), None))]
    }

    fn progress(&mut self, head: &Head<'_>, progress: &Progress) -> Vec<Bytes> {
        // An empty piece of text, which plain clients add to the answer.
        let mut chunk = delta(head, 0, &json!({"content": ""}), None);
        let mut own = json!(progress);
        set(&mut own, "event", "scored");
        set(&mut chunk, "tpo", own);
        vec![data(&chunk)]
    }

    fn text(&mut self, head: &Head<'_>, answer: &str) -> Vec<Bytes> {
        text(head, 0, answer).collect()
    }

    fn end(&mut self, reply: &Reply<'_>) -> Vec<Bytes> {
        let head = &reply.head;
        let mut events = Vec::new();
        for (index, choice) in reply.choices.iter().enumerate() {
            if index > 0 {
                let begin = json!({"role": "assistant", "content": ""});
                events.push(data(&delta(head, index, &begin, None)));
                events.extend(text(head, index, choice.text));
            }
            let mut chunk = delta(head, index, &json!({}), Some(choice.finish_reason));
            if let Some(own) = reply.own.as_ref().filter(|_| index == 0) {
                let mut own = own.clone();
                set(&mut own, "event", "answer");
                set(&mut chunk, "tpo", own);
            }
            events.push(data(&chunk));
        }
        if head.ask.include_usage {
            let mut chunk = chunk(head, &json!([]));
            set(&mut chunk, "usage", usage(reply));
            events.push(data(&chunk));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }

    fn error(&mut self, error: &ApiError) -> Vec<Bytes> {
        vec![data(&error.body())]
    }
}

/// What was spent.
fn usage(reply: &Reply<'_>) -> Value {
    let tokens = reply.tokens;
    json!({
        "prompt_tokens": tokens.prompt_tokens,
        "completion_tokens": tokens.completion_tokens,
        "total_tokens": tokens.total(),
        "prompt_tokens_details": {"cached_tokens": tokens.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning_tokens, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}
