//! The events of a streamed chat answer.

use serde_json::{Value, json};
use textgrad_core::Usage;

use super::completion::{Answer, Head, logprobs_object, usage_object};
use crate::fake_server::error::ApiError;

/// Characters of one piece of a text, unless that would make more than [`MAX_PIECES`].
const PIECE: usize = 8;

/// The most pieces that one text is streamed in.
const MAX_PIECES: usize = 256;

/// A server-sent event of one data line.
pub(crate) fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

/// The event of a failure after the answer began: nested whatever the shape of other errors.
pub(crate) fn error_event(error: &ApiError) -> String {
    event(&json!({ "error": error.object() }).to_string())
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let size = PIECE.max(characters.len().div_ceil(MAX_PIECES));
    characters.chunks(size).map(|piece| piece.iter().collect()).collect()
}

/// All events but `[DONE]`: one with the role for each choice, the texts piece by piece in turns, each
/// choice's end right after its last piece, and the usage where it was asked for.
pub(crate) fn chunks(head: &Head, answers: &[Answer], usage: Option<Usage>) -> Vec<String> {
    let chunk = |choices: Value, usage: Option<Usage>| {
        let mut chunk = json!({
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
            "choices": choices,
        });
        if let (Some(usage), Value::Object(fields)) = (usage, &mut chunk) {
            fields.insert("usage".to_owned(), usage_object(usage));
        }
        event(&chunk.to_string())
    };
    let choice = |index: usize, delta: Value, finish_reason: Option<&str>| {
        let tokens = answers.get(index).filter(|_| finish_reason.is_some());
        let tokens = tokens.map_or(&[][..], |answer| &answer.logprobs);
        let choice = json!({
            "index": index,
            "delta": delta,
            "logprobs": logprobs_object(tokens),
            "finish_reason": finish_reason,
        });
        chunk(json!([choice]), None)
    };

    let mut events: Vec<String> = answers
        .iter()
        .enumerate()
        .map(|(index, answer)| {
            let content = answer.content.as_ref().map(|_| "");
            choice(index, json!({ "role": "assistant", "content": content }), None)
        })
        .collect();
    let mut texts: Vec<_> = answers
        .iter()
        .map(|answer| pieces(answer.content.as_deref().unwrap_or_default()).into_iter())
        .collect();
    let mut ended = vec![false; answers.len()];
    while ended.contains(&false) {
        let turns = texts.iter_mut().zip(&mut ended).zip(answers).enumerate();
        for (index, ((text, ended), answer)) in turns {
            match text.next() {
                Some(piece) => events.push(choice(index, json!({ "content": piece }), None)),
                None if !*ended => {
                    *ended = true;
                    events.push(choice(index, json!({}), Some(&answer.finish_reason)));
                }
                None => {}
            }
        }
    }
    if usage.is_some() {
        events.push(chunk(json!([]), usage));
    }
    events
}
