//! Parts of requests that all wire formats share: the turns of a conversation, and the parameters of a body.

use serde_json::{Map, Value};
use textgrad_core::{
    EngineError, Format, JsonSchema, Message, MessageRole, Part, Request, Sampling,
};

use crate::engine::{invalid, unsupported};

/// The fields of a JSON object.
pub(crate) type Fields = Map<String, Value>;

/// Adds a parameter that is set. One that is not set is not sent.
pub(crate) fn set(fields: &mut Fields, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The stop sequences, if there are any.
pub(crate) fn stop(sampling: &Sampling) -> Option<&[String]> {
    Some(sampling.stop.as_slice()).filter(|stop| !stop.is_empty())
}

/// Refuses what no server can be asked.
pub(crate) fn check(sampling: &Sampling) -> Result<(), EngineError> {
    if sampling.n == 0 {
        return Err(invalid("expected at least 1 answer to be asked for, got n = 0"));
    }
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    for (name, number) in numbers {
        if number.is_some_and(|number| !number.is_finite()) {
            return Err(invalid(format!("expected {name} to be a finite number, got {number:?}")));
        }
    }
    Ok(())
}

/// Refuses logprobs, for servers that do not tell them, or tell them in a way that is not read.
pub(crate) fn without_logprobs(sampling: &Sampling) -> Result<(), EngineError> {
    match sampling.top_logprobs {
        None => Ok(()),
        Some(_) => Err(unsupported(
            "this engine tells no logprobs of tokens; ask without top_logprobs, or use another engine",
        )),
    }
}

/// The schema that an answer must satisfy, for servers that know no other format.
pub(crate) fn json_schema(request: &Request) -> Result<Option<&JsonSchema>, EngineError> {
    match &request.format {
        None => Ok(None),
        Some(Format::JsonSchema(schema)) => Ok(Some(schema)),
        Some(_) => Err(unsupported(
            "this engine cannot decode under a grammar; ask without one, or use a model in the process or a server of \
             llama.cpp, vLLM, SGLang or Fireworks by its preset",
        )),
    }
}

/// Refuses extra fields that have a setting of their own: `own` names the field and the setting. `parent` is the
/// path of the object that holds the fields, with a dot at its end, or empty.
pub(crate) fn refuse_own(
    extra: &Fields,
    parent: &str,
    own: &[(&str, &str)],
) -> Result<(), EngineError> {
    match own.iter().find(|(name, _)| extra.contains_key(*name)) {
        Some((name, setting)) => Err(invalid(format!(
            "expected no extra field `{parent}{name}`: it has a setting of its own, {setting}"
        ))),
        None => Ok(()),
    }
}

/// Takes the object of an extra field out of a body, to add fields to it; empty where there is none. It must not hold
/// any field of `own`.
pub(crate) fn take_object(
    body: &mut Fields,
    name: &str,
    own: &[(&str, &str)],
) -> Result<Fields, EngineError> {
    let object = match body.remove(name) {
        None => Fields::new(),
        Some(Value::Object(object)) => object,
        Some(_) => {
            return Err(invalid(format!("expected the extra field `{name}` to be an object")));
        }
    };
    refuse_own(&object, &format!("{name}."), own)?;
    Ok(object)
}

/// One turn: consecutive messages of one role.
#[derive(Debug, PartialEq)]
pub(crate) struct Turn<'a> {
    pub(crate) role: MessageRole,
    pub(crate) parts: Vec<&'a Part>,
}

/// A conversation whose system prompt is apart from its turns.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Conversation<'a> {
    /// The system messages, one below the other; none if all are empty.
    pub(crate) system: Option<String>,
    pub(crate) turns: Vec<Turn<'a>>,
}

impl<'a> Conversation<'a> {
    /// Takes system messages out, merges consecutive messages of one role, and leaves out texts that
    /// `is_sendable` refuses and turns without any part.
    ///
    /// # Errors
    /// `ErrorKind::Unsupported` for an image in a system message, `ErrorKind::InvalidRequest` if nothing
    /// is left to be answered.
    pub(crate) fn new(
        messages: &'a [Message],
        is_sendable: fn(&str) -> bool,
    ) -> Result<Self, EngineError> {
        let mut system: Vec<String> = Vec::new();
        let mut turns: Vec<Turn<'a>> = Vec::new();
        for message in messages {
            if message.role == MessageRole::System {
                if message.has_image() {
                    return Err(unsupported(
                        "this server takes only text in a system message, but one has an image; move \
                         it to a user message",
                    ));
                }
                system.extend(Some(message.text()).filter(|text| is_sendable(text)));
                continue;
            }
            let parts = message.parts.iter().filter(|part| match part {
                Part::Text(text) => is_sendable(text),
                Part::Image(_) => true,
            });
            match turns.last_mut() {
                Some(last) if last.role == message.role => last.parts.extend(parts),
                _ => turns.push(Turn { role: message.role, parts: parts.collect() }),
            }
            // An empty turn must not keep its neighbours, which one side speaks, apart.
            turns.pop_if(|last| last.parts.is_empty());
        }
        if turns.is_empty() {
            return Err(invalid(
                "expected a user message with a text or an image, but the conversation has none",
            ));
        }
        let system = (!system.is_empty()).then(|| system.join("\n\n"));
        Ok(Self { system, turns })
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::{ErrorKind, Image};

    use super::*;

    fn not_empty(text: &str) -> bool {
        !text.is_empty()
    }

    #[test]
    fn turns_alternate_and_the_system_prompt_is_apart() {
        let messages = [
            Message::system("a"),
            Message::user("1"),
            Message::assistant(""),
            Message::user("2"),
            Message::system(""),
            Message::system("b"),
            Message::user(""),
            Message::assistant("3"),
        ];
        let Conversation { system, turns } = Conversation::new(&messages, not_empty).unwrap();
        assert_eq!(system.as_deref(), Some("a\n\nb"));
        let turns: Vec<_> = turns.iter().map(|turn| (turn.role, turn.parts.len())).collect();
        assert_eq!(turns, [(MessageRole::User, 2), (MessageRole::Assistant, 1)]);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let image = Part::Image(Image::new(vec![1], "image/png").unwrap());
        let seen = [Message::new(MessageRole::System, [image]), Message::user("1")];
        let error = Conversation::new(&seen, not_empty).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        for empty in [&[][..], &[Message::system("a")], &[Message::user("")]] {
            let error = Conversation::new(empty, not_empty).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
    }
}
