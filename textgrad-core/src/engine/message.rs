//! One turn of a conversation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::variable::{Image, Value};

/// Who speaks a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl fmt::Display for MessageRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A piece of a message: text or an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Text, sent exactly as it is.
    Text(String),
    /// An image with its media type.
    Image(Image),
}

impl From<&Value> for Part {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.to_string()),
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
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(MessageRole::System, [Part::Text(text.into())])
    }

    /// A user message of one text.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(MessageRole::User, [Part::Text(text.into())])
    }

    /// An assistant message of one text.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(MessageRole::Assistant, [Part::Text(text.into())])
    }

    /// The text of the message: its text parts, one after the other, images left out.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
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
