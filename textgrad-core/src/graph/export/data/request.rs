//! A request as a person reads it: images by type and size only.

use serde::{Deserialize, Serialize};

use crate::engine::{Format, Message, MessageRole, Part, Purpose, Request, Sampling};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RequestData {
    pub(crate) purpose: Purpose,
    messages: Vec<MessageData>,
    sampling: Sampling,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MessageData {
    role: MessageRole,
    parts: Vec<PartData>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
enum PartData {
    Text { text: String },
    Image { media_type: String, bytes: usize },
}

impl From<Request> for RequestData {
    fn from(request: Request) -> Self {
        Self {
            purpose: request.purpose,
            messages: request.messages.into_iter().map(Into::into).collect(),
            sampling: request.sampling,
            format: request.format,
        }
    }
}

impl From<Message> for MessageData {
    fn from(message: Message) -> Self {
        let parts = message.parts.into_iter().map(|part| match part {
            Part::Text(text) => PartData::Text { text },
            Part::Image(image) => PartData::Image {
                media_type: image.media_type().to_owned(),
                bytes: image.bytes().len(),
            },
        });
        Self { role: message.role, parts: parts.collect() }
    }
}
