//! A conversation as servers want it that keep the system prompt apart.

use textgrad_core::{EngineError, ErrorKind, Message, MessageRole, Part};

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
    /// [`ErrorKind::Unsupported`] for an image in a system message, [`ErrorKind::InvalidRequest`] if nothing
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
                    return Err(EngineError::new(
                        ErrorKind::Unsupported,
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
            return Err(EngineError::new(
                ErrorKind::InvalidRequest,
                "expected a user message with a text or an image, but the conversation has none",
            ));
        }
        let system = (!system.is_empty()).then(|| system.join("\n\n"));
        Ok(Self { system, turns })
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::Image;

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
