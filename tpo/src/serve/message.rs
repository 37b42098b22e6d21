//! Messages and their parts, as clients send them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use textgrad_core::{Image, Message, MessageRole, Part};

use super::error::ApiError;
use super::json::field;
use super::request::expected;

/// A message, or what makes it one for the policy itself.
pub(crate) enum Turn {
    Message(Message),
    Direct(String),
}

/// A message of a conversation; none for thoughts of earlier turns, which are no part of it, and for empty turns of the
/// system and the assistant, which say nothing.
pub(crate) fn message(message: &Json, place: &str) -> Result<Option<Turn>, ApiError> {
    match field(message, "type").as_str() {
        None | Some("message") => {}
        Some("reasoning") => return Ok(None),
        Some(_) => return Ok(Some(Turn::Direct(format!("{place}: an item that is no message")))),
    }
    let role = match field(message, "role").as_str() {
        Some("system" | "developer") => MessageRole::System,
        Some("user") => MessageRole::User,
        Some("assistant") => MessageRole::Assistant,
        Some(role @ ("tool" | "function")) => {
            return Ok(Some(Turn::Direct(format!("{place} with the role {role}"))));
        }
        _ => {
            return Err(expected(&format!("{place}.role"), "system, developer, user or assistant"));
        }
    };
    let calls = ["tool_calls", "function_call", "audio"];
    if let Some(call) = calls.iter().find(|call| !field(message, call).is_null()) {
        return Ok(Some(Turn::Direct(format!("{place}.{call}"))));
    }
    let parts = match field(message, "content") {
        // Answers of tools have none.
        Json::Null if role == MessageRole::Assistant => Vec::new(),
        Json::String(text) => vec![Part::Text(text.as_str().into())],
        Json::Array(parts) => {
            let mut read = Vec::with_capacity(parts.len());
            for (position, part) in parts.iter().enumerate() {
                match self::part(part, &format!("{place}.content[{position}]"))? {
                    Ok(part) => read.push(part),
                    Err(what) => return Ok(Some(Turn::Direct(what))),
                }
            }
            read
        }
        _ => return Err(expected(&format!("{place}.content"), "a text or a list of parts")),
    };
    let message = Message::new(role, parts);
    if role != MessageRole::User && !message.has_image() && message.text().trim().is_empty() {
        return Ok(None);
    }
    Ok(Some(Turn::Message(message)))
}

/// A part, or the name of one that only the policy itself can read.
fn part(part: &Json, place: &str) -> Result<Result<Part, String>, ApiError> {
    match field(part, "type").as_str() {
        Some("text" | "input_text" | "output_text") => match field(part, "text").as_str() {
            Some(text) => Ok(Ok(Part::Text(text.into()))),
            None => Err(expected(&format!("{place}.text"), "a text")),
        },
        Some("image_url" | "input_image") => {
            let url = field(field(part, "image_url"), "url")
                .as_str()
                .or_else(|| field(part, "image_url").as_str());
            match url {
                Some(url) if url.starts_with("data:") => Ok(Ok(Part::Image(image(url, place)?))),
                // The server fetches nothing that a client names.
                Some(_) => Ok(Err(format!("{place}: an image by its address"))),
                None => Err(expected(&format!("{place}.image_url"), "a data: URL")),
            }
        }
        Some(other) => {
            Ok(Err(format!("{place}: a part of the type {}", textgrad_core::truncate(other, 40))))
        }
        None => Err(expected(&format!("{place}.type"), "text or image_url")),
    }
}

fn image(url: &str, place: &str) -> Result<Image, ApiError> {
    let wrong = |reason: String| ApiError::invalid(place, format!("{place}: {reason}"));
    let (head, data) = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
        .ok_or_else(|| wrong("expected an image as data:image/TYPE;base64,..".to_owned()))?;
    let bytes = STANDARD.decode(data.trim());
    let bytes = bytes.map_err(|error| wrong(format!("expected base64: {error}")))?;
    Image::new(bytes, head).map_err(|error| wrong(error.to_string()))
}
