//! Requests to engines: a conversation, and how to sample its completions.

use std::sync::Arc;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

use super::format::Format;
use crate::seed::Seed;
use crate::variable::{Image, Value};

/// Why a request is made. For accounting and traces; engines must not change their answer by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[derive(Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// A first answer to a query.
    Sample,
    /// A call in the forward pass of a program.
    Forward,
    /// The value of an objective in words.
    Loss,
    /// Feedback for one input of a call: a textual gradient.
    Gradient,
    /// Several gradients merged into one.
    Reduce,
    /// A new value for a parameter.
    Update,
    /// A score or a verdict about a text.
    Judge,
}

impl Purpose {
    /// The name used in journals, traces and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How answers are drawn. A field that is `None` is not sent: the server's own default then holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[serde(default, deny_unknown_fields)]
#[setters(generate = false, prefix = "with_", strip_option)]
pub struct Sampling {
    /// How many answers to draw; at least 1.
    #[setters(generate)]
    pub n: u32,
    /// Randomness; 0 is greedy, 1 is the model's own distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[setters(generate)]
    pub temperature: Option<f64>,
    /// Nucleus sampling: the smallest set of tokens with this probability, in `(0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The longest answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[setters(generate)]
    pub max_tokens: Option<u32>,
    /// Seed of the draw. Choice `i` of `n` stands for seed + i, as vLLM has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[setters(generate)]
    pub seed: Option<u64>,
    /// Texts that end an answer; not part of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Penalty on tokens by how often they occurred, in `[-2, 2]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// Penalty on tokens that occurred at all, in `[-2, 2]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Asks for the logarithms of the probabilities of the completion tokens, and of so many of the likeliest at
    /// each position, at most 20 with most servers: [`Choice::logprobs`](super::Choice::logprobs).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[setters(generate)]
    pub top_logprobs: Option<u32>,
    /// Fields that only some servers know (`top_k`, `min_p`, `repetition_penalty`, ...), written to the
    /// top level of the request body as they are.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            n: 1,
            temperature: None,
            top_p: None,
            max_tokens: None,
            seed: None,
            stop: Vec::new(),
            frequency_penalty: None,
            presence_penalty: None,
            top_logprobs: None,
            extra: serde_json::Map::new(),
        }
    }
}

impl Sampling {
    /// The same draw with this seed; with its own where there is none.
    #[must_use]
    pub fn at(mut self, seed: Option<Seed>) -> Self {
        if let Some(seed) = seed {
            self.seed = Some(seed.request_seed());
        }
        self
    }
}

/// A conversation to complete, how to draw the answers, and why they are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(generate = false, prefix = "with_", strip_option)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How answers are drawn.
    #[serde(default)]
    #[setters(generate)]
    pub sampling: Sampling,
    /// Why the request is made.
    pub purpose: Purpose,
    /// The shape that each answer must have; any where it is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[setters(generate)]
    pub format: Option<Format>,
    /// A text that the answer is expected to resemble, for servers that decode faster with such a hint. It changes
    /// nothing about the answer, so records of requests do not have it.
    #[serde(skip)]
    #[setters(generate)]
    pub prediction: Option<Arc<str>>,
}

impl Request {
    /// A request for one answer with the server's own sampling defaults.
    pub fn new(purpose: Purpose, messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            sampling: Sampling::default(),
            purpose,
            format: None,
            prediction: None,
        }
    }
}

/// Who speaks a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[derive(Display, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum MessageRole {
    /// Instructions that hold for the whole conversation.
    System,
    /// The caller.
    User,
    /// The model.
    Assistant,
}

impl MessageRole {
    /// The name that servers use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A piece of a message: text or an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Text, sent exactly as it is. Clones share it.
    Text(Arc<str>),
    /// An image with its media type.
    Image(Image),
}

impl From<&Value> for Part {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(Arc::clone(text)),
            Value::Image(image) => Self::Image(image.clone()),
        }
    }
}

/// One turn of a conversation: a role and its parts, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: MessageRole,
    /// The content.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message of several parts.
    pub fn new(role: MessageRole, parts: impl IntoIterator<Item = Part>) -> Self {
        Self { role, parts: parts.into_iter().collect() }
    }

    /// A system message of one text.
    pub fn system(text: impl Into<Arc<str>>) -> Self {
        Self::new(MessageRole::System, [Part::Text(text.into())])
    }

    /// A user message of one text.
    pub fn user(text: impl Into<Arc<str>>) -> Self {
        Self::new(MessageRole::User, [Part::Text(text.into())])
    }

    /// An assistant message of one text.
    pub fn assistant(text: impl Into<Arc<str>>) -> Self {
        Self::new(MessageRole::Assistant, [Part::Text(text.into())])
    }

    /// The text of the message: its text parts, one after the other, images left out.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(&**text),
                Part::Image(_) => None,
            })
            .collect()
    }

    /// Whether the message holds an image.
    #[must_use]
    pub fn has_image(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Image(_)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_written_before_there_were_formats_are_read_and_written_as_they_were() {
        let old = json!({
            "messages": [{"role": "user", "parts": [{"text": "hi"}]}],
            "sampling": {"n": 1},
            "purpose": "sample",
        });
        let request: Request = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(request, Request::new(Purpose::Sample, [Message::user("hi")]));
        assert_eq!(serde_json::to_value(&request).unwrap(), old);

        let format = Format::json_schema("x", json!({"type": "object"})).unwrap();
        let request = request.with_format(format);
        let new = serde_json::to_value(&request).unwrap();
        assert_eq!(new["format"]["name"], "x");
        assert_eq!(serde_json::from_value::<Request>(new).unwrap(), request);
    }
}
