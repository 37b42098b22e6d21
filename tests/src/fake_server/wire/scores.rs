//! The reward route of vLLM, request and answer.

use serde::Deserialize;
use serde_json::{Value, json};
use textgrad_core::{Message, MessageRole};

use super::completion::Head;
use super::request::{Conversation, OneOrMany};
use super::template;
use crate::fake_server::error::ApiError;
use crate::fake_server::fault::Fault;

/// The body of a request to `/classify`.
#[derive(Debug, Deserialize)]
pub(in crate::fake_server) struct ClassifyBody {
    pub(in crate::fake_server) model: Option<String>,
    messages: Option<Conversation>,
    input: Option<OneOrMany>,
    use_activation: Option<bool>,
    activation: Option<bool>,
}

/// A query and an answer to score.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::fake_server) struct Scored {
    pub(in crate::fake_server) query: String,
    pub(in crate::fake_server) answer: String,
}

impl ClassifyBody {
    /// Whether scores go through a sigmoid, which they do unless the client says not to.
    pub(in crate::fake_server) fn has_activation(&self) -> bool {
        self.use_activation != Some(false) && self.activation != Some(false)
    }

    /// What is to be scored: the last answer and the user's turn before it, or each input taken out of its
    /// chat template.
    pub(in crate::fake_server) fn into_scored(self) -> Result<Vec<Scored>, ApiError> {
        match (self.messages, self.input) {
            (Some(conversation), None) => {
                let messages = conversation.into_messages()?;
                let last = |messages: &[Message], role| {
                    messages
                        .iter()
                        .enumerate()
                        .rfind(|(_, message)| message.role == role)
                        .map(|(index, message)| (index, message.text()))
                };
                let (end, answer) = last(&messages, MessageRole::Assistant)
                    .unwrap_or_else(|| (messages.len(), String::new()));
                let before = messages.get(..end).unwrap_or_default();
                let query = last(before, MessageRole::User).map(|(_, text)| text);
                Ok(vec![Scored { query: query.unwrap_or_default(), answer }])
            }
            (None, Some(input)) => {
                let texts = input.into_vec();
                if texts.is_empty() {
                    return Err(ApiError::bad_request("input must not be empty."));
                }
                let scored = texts.iter().map(|text| {
                    let (query, answer) = template::query_and_answer(text);
                    Scored { query, answer }
                });
                Ok(scored.collect())
            }
            _ => Err(ApiError::bad_request("exactly one of messages and input is required.")),
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The answer of `/classify` as text, because one of the faults is not JSON; and whether the fault showed.
pub(in crate::fake_server) fn scores(
    head: &Head,
    rewards: &[f64],
    activation: bool,
    tokens: u64,
    fault: Option<&Fault>,
) -> (String, bool) {
    let data: Vec<Value> = rewards
        .iter()
        .enumerate()
        .map(|(index, reward)| {
            let score = if activation { sigmoid(*reward) } else { *reward };
            let (label, probs) = match fault {
                Some(Fault::NanScore | Fault::NullScore) => ("LABEL_0", json!([null])),
                Some(Fault::StringScore) => ("LABEL_0", json!([score.to_string()])),
                Some(Fault::TwoLabels) => {
                    let second = sigmoid(*reward);
                    ("LABEL_1", json!([1.0 - second, second]))
                }
                _ => ("LABEL_0", json!([score])),
            };
            let classes = probs.as_array().map_or(1, Vec::len);
            json!({ "index": index, "label": label, "probs": probs, "num_classes": classes })
        })
        .collect();
    let shows = matches!(
        fault,
        Some(Fault::NanScore | Fault::NullScore | Fault::StringScore | Fault::TwoLabels)
    );
    let body = json!({
        "id": head.id,
        "object": "list",
        "created": head.created,
        "model": head.model,
        "data": data,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0 },
    });
    let text = body.to_string();
    let text = match fault {
        // Quotes in the client's texts are escaped, so only the answer's own fields can match.
        Some(Fault::NanScore) => text.replace(r#""probs":[null]"#, r#""probs":[NaN]"#),
        _ => text,
    };
    (text, shows)
}
