//! Queries.

use std::fmt::{self, Write};
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json};
use textgrad_core::{Message, MessageRole, Part};

use crate::error::Error;

/// What a user asks: a text, or a conversation that ends with a turn of the user's. Cheap to clone.
///
/// As JSON it is a string where it is one text, else a list of messages with `role` and `content`. It can carry
/// [`fields`](Self::fields) of its record, such as an id, which are in the results of a run and nowhere else: queries
/// with equal turns are equal.
///
/// # Examples
/// ```
/// use textgrad_core::Message;
/// use tpo::Query;
///
/// let plain = Query::from("Why is the sky blue?");
/// assert_eq!(plain.text(), "Why is the sky blue?");
/// let talk = Query::conversation([
///     Message::system("Answer in one word."),
///     Message::user("What is the color of Mars?"),
///     Message::assistant("Red."),
///     Message::user("And of Neptune?"),
/// ])?;
/// assert_eq!(talk.system(), Some("Answer in one word."));
/// assert!(talk.text().ends_with("Assistant: Red.\n\nUser: And of Neptune?"));
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Clone)]
pub struct Query(Arc<Inner>);

struct Inner {
    turns: Vec<Turn>,
    shown: String,
    fields: Map<String, Json>,
}

/// One turn of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) role: MessageRole,
    pub(crate) content: String,
}

impl Query {
    /// A conversation: turns of text, a system message only at its beginning, the last turn the user's.
    ///
    /// # Errors
    /// [`Error::Query`] with what is wrong.
    pub fn conversation(messages: impl IntoIterator<Item = Message>) -> Result<Self, Error> {
        let turns: Result<Vec<Turn>, Error> = messages.into_iter().map(turn).collect();
        Self::of(turns?)
    }

    pub(crate) fn of(turns: Vec<Turn>) -> Result<Self, Error> {
        let wrong = |expected, got: String| Err(Error::Query { expected, got });
        for (place, turn) in turns.iter().enumerate() {
            if turn.role == MessageRole::System && place > 0 {
                return wrong("a system message only at the beginning", format!("one at {place}"));
            }
            if turn.content.trim().is_empty() {
                return wrong("turns that are not empty", format!("an empty one at {place}"));
            }
        }
        match turns.last().map(|turn| turn.role) {
            Some(MessageRole::User) => {}
            last => {
                let got = last.map_or_else(|| "no message".to_owned(), |role| role.to_string());
                return wrong("a conversation that ends with the user's turn", got);
            }
        }
        let shown = shown(&turns);
        Ok(Self(Arc::new(Inner { turns, shown, fields: Map::new() })))
    }

    /// The same query with these fields of its record.
    #[must_use]
    pub fn with_fields(self, fields: Map<String, Json>) -> Self {
        let inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            turns: shared.turns.clone(),
            shown: shared.shown.clone(),
            fields: Map::new(),
        });
        Self(Arc::new(Inner { fields, ..inner }))
    }

    /// The other fields of the record that it was read from, such as an id or a reference.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Json> {
        &self.0.fields
    }

    /// The query as prompts and reports show it: the text itself, or the conversation turn by turn.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.shown
    }

    /// Whether it is one text and nothing else.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(self.0.turns.as_slice(), [turn] if turn.role == MessageRole::User)
    }

    /// Its system message, if it has one.
    #[must_use]
    pub fn system(&self) -> Option<&str> {
        let first = self.0.turns.first()?;
        (first.role == MessageRole::System).then_some(first.content.as_str())
    }

    /// Its turns with their roles, in order, the system message among them.
    pub fn turns(&self) -> impl Iterator<Item = (MessageRole, &str)> {
        self.0.turns.iter().map(|turn| (turn.role, turn.content.as_str()))
    }

    /// The turns as messages, without the system message.
    #[must_use]
    pub fn dialogue(&self) -> Vec<Message> {
        let turns = self.turns().filter(|(role, _)| *role != MessageRole::System);
        turns.map(|(role, text)| Message::new(role, [Part::Text(text.into())])).collect()
    }

    /// A text that no other query has: for keys.
    pub(crate) fn identity(&self) -> String {
        match self.is_plain() {
            true => self.text().to_owned(),
            false => {
                serde_json::to_string(&self.0.turns).unwrap_or_else(|_| self.text().to_owned())
            }
        }
    }
}

fn turn(message: Message) -> Result<Turn, Error> {
    if message.has_image() {
        let (expected, got) = ("turns of text", "an image".to_owned());
        return Err(Error::Query { expected, got });
    }
    Ok(Turn { role: message.role, content: message.text() })
}

fn shown(turns: &[Turn]) -> String {
    if let [only] = turns {
        return only.content.clone();
    }
    let mut shown = String::new();
    for turn in turns {
        let who = match turn.role {
            MessageRole::System => "System",
            MessageRole::User => "User",
            MessageRole::Assistant => "Assistant",
        };
        let gap = if shown.is_empty() { "" } else { "\n\n" };
        // Writing to a string cannot fail.
        let _ = write!(shown, "{gap}{who}: {}", turn.content);
    }
    shown
}

/// A plain query: whatever the text is, also an empty one.
impl<T: Into<String>> From<T> for Query {
    fn from(text: T) -> Self {
        let shown = text.into();
        let turns = vec![Turn { role: MessageRole::User, content: shown.clone() }];
        Self(Arc::new(Inner { turns, shown, fields: Map::new() }))
    }
}

impl From<&Query> for Query {
    fn from(query: &Query) -> Self {
        query.clone()
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.0.turns == other.0.turns
    }
}

impl Eq for Query {}

/// Whether it is this text and nothing else.
impl PartialEq<str> for Query {
    fn eq(&self, text: &str) -> bool {
        self.is_plain() && self.text() == text
    }
}

impl PartialEq<&str> for Query {
    fn eq(&self, text: &&str) -> bool {
        *self == **text
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Query").field(&self.text()).finish()
    }
}

impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.is_plain() {
            true => serializer.serialize_str(self.text()),
            false => self.0.turns.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match QueryJson::deserialize(deserializer)? {
            QueryJson::Text(text) => Ok(Self::from(text)),
            QueryJson::Turns(turns) => Self::of(turns).map_err(D::Error::custom),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of messages with role and content")]
enum QueryJson {
    Text(String),
    Turns(Vec<Turn>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_both_ways() {
        for json in
            [r#""why?""#, r#"[{"role":"system","content":"s"},{"role":"user","content":"u"}]"#]
        {
            let query: Query = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&query).unwrap(), json);
        }
        let one: Query = serde_json::from_str(r#"[{"role":"user","content":"u"}]"#).unwrap();
        assert_eq!(one, Query::from("u"));
    }

    #[test]
    fn what_is_no_query_is_refused_with_the_reason() {
        for (json, words) in [
            ("[]", "no message"),
            (r#"[{"role":"assistant","content":"a"}]"#, "assistant"),
            (r#"[{"role":"user","content":" "}]"#, "empty"),
            (
                r#"[{"role":"user","content":"u"},{"role":"system","content":"s"},{"role":"user","content":"u"}]"#,
                "at 1",
            ),
        ] {
            let error = serde_json::from_str::<Query>(json).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
        let image = textgrad_core::Image::new(vec![1], "image/png").unwrap();
        let message = Message::new(MessageRole::User, [Part::Image(image)]);
        assert!(Query::conversation([message]).is_err());
    }

    #[test]
    fn identities_differ_where_texts_are_the_same() {
        let talk = Query::conversation([Message::assistant("a"), Message::user("u")]).unwrap();
        let same = Query::from("Assistant: a\n\nUser: u");
        assert_eq!(talk.text(), same.text());
        assert_ne!(talk.identity(), same.identity());
    }
}
