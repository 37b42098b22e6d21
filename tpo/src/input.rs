//! Queries from text: a JSON list, JSONL, or plain text; and built-in ones.

use std::str::FromStr;

use serde_json::Value as Json;
use textgrad_ops::util::json::type_name;

use crate::error::Error;
use crate::query::{Query, Turn};

/// Queries to try a search on, without a file.
pub const BUILTIN: [&str; 8] = [
    "Why does bread rise, and what happens if I leave the yeast out?",
    "How do I repot a houseplant without hurting its roots?",
    "Explain the difference between weather and climate to a ten-year-old.",
    "Write a short, polite email asking a neighbour to keep the music down at night.",
    "What are some good ways to remember people's names?",
    "Should I learn the piano or the guitar first?",
    "How long does it take to walk from one end of Portugal to the other?",
    "Suggest three names for a small bakery near the sea.",
];

/// The format of a file of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON list of strings, or of objects as in [`Format::Jsonl`].
    Json,
    /// One JSON object a line, with `prompt`, `instruction` or `messages`; or one JSON string a line.
    Jsonl,
    /// One query a line; blank lines are skipped.
    Text,
}

impl Format {
    /// The format that a file's name promises, or else the one that its text looks like.
    #[must_use]
    pub fn detect(name: &str, text: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("json") => Self::Json,
            Some("jsonl" | "ndjson") => Self::Jsonl,
            Some("txt" | "md") => Self::Text,
            _ => match text.trim_start().chars().next() {
                Some('[') => Self::Json,
                Some('{') => Self::Jsonl,
                // A first line that is a JSON string, and not a sentence that begins with a quotation.
                Some('"') if text.lines().next().is_some_and(is_json_string) => Self::Jsonl,
                _ => Self::Text,
            },
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "json" => Ok(Self::Json),
            "jsonl" => Ok(Self::Jsonl),
            "text" => Ok(Self::Text),
            _ => {
                let (expected, got) = ("json, jsonl or text", text.to_owned());
                Err(Error::Config { setting: "format", expected, got })
            }
        }
    }
}

fn is_json_string(line: &str) -> bool {
    serde_json::from_str::<String>(line).is_ok()
}

/// Reads queries in the format that [`Format::detect`] finds. `name` is that of the file, for its format and
/// for errors.
///
/// # Errors
/// [`Error::Input`] with the file, the line or the place in the list, and what was expected.
///
/// # Examples
/// ```
/// use tpo::input::parse;
///
/// assert_eq!(parse("q.json", r#"["one", "two"]"#)?, ["one", "two"]);
/// assert_eq!(parse("q.jsonl", "{\"prompt\": \"one\"}\n{\"instruction\": \"two\"}\n")?, ["one", "two"]);
/// assert_eq!(parse("q.txt", "one\n\ntwo\n")?, ["one", "two"]);
/// let error = parse("q.jsonl", "{\"prompt\": \"one\"}\n{\"promt\": \"two\"}\n").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"q.jsonl, line 2: expected one of the fields "prompt", "instruction", "messages", got "promt""#
/// );
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn parse(name: &str, text: &str) -> Result<Vec<Query>, Error> {
    let text = without_mark(text);
    parse_as(Format::detect(name, text), name, text)
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads queries in a given format; see [`parse`].
///
/// # Errors
/// Those of [`parse`].
pub fn parse_as(format: Format, name: &str, text: &str) -> Result<Vec<Query>, Error> {
    let text = without_mark(text);
    let at_line = |line: usize| format!("{name}, line {}", line + 1);
    let queries: Result<Vec<Query>, Error> = match format {
        Format::Json => match serde_json::from_str(text) {
            Ok(Json::Array(items)) => {
                let places = (1..).map(|item| format!("{name}, item {item}"));
                items.iter().zip(places).map(|(item, place)| query(item, place)).collect()
            }
            Ok(other) => {
                Err(wrong(name, format!("expected a JSON list, got {}", type_name(&other))))
            }
            Err(error) => {
                let lines = text.lines().next().is_some_and(|line| {
                    serde_json::from_str::<serde_json::Map<String, Json>>(line).is_ok()
                });
                let hint = if lines { "; it looks like JSONL, one object a line" } else { "" };
                Err(wrong(name, format!("not a JSON list: {error}{hint}")))
            }
        },
        Format::Jsonl => text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| match serde_json::from_str(line) {
                Ok(item) => query(&item, at_line(number)),
                Err(error) => Err(wrong(at_line(number), format!("not JSON: {error}"))),
            })
            .collect(),
        Format::Text => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(lines.map(Query::from).collect())
        }
    };
    let queries = queries?;
    if queries.is_empty() {
        return Err(wrong(name, "expected at least one query, found none".to_owned()));
    }
    Ok(queries)
}

fn query(item: &Json, place: String) -> Result<Query, Error> {
    let text = match item {
        Json::String(text) => text.clone(),
        Json::Object(fields) => match (fields.get("prompt"), fields.get("instruction")) {
            (Some(Json::String(text)), _) | (None, Some(Json::String(text))) => text.clone(),
            (Some(other), _) | (None, Some(other)) => {
                return Err(wrong(place, format!("expected a string, got {}", type_name(other))));
            }
            (None, None) => match fields.get("messages") {
                Some(messages) => return conversation(messages, place),
                None => {
                    let got: Vec<String> = fields.keys().map(|key| format!("{key:?}")).collect();
                    let reason = format!(
                        "expected one of the fields \"prompt\", \"instruction\", \"messages\", got {}",
                        if got.is_empty() { "none".to_owned() } else { got.join(", ") }
                    );
                    return Err(wrong(place, reason));
                }
            },
        },
        other => {
            let reason = format!("expected a string or an object, got {}", type_name(other));
            return Err(wrong(place, reason));
        }
    };
    if text.trim().is_empty() {
        return Err(wrong(place, "expected a query, got an empty text".to_owned()));
    }
    Ok(Query::from(text))
}

/// The query that a list of messages is.
fn conversation(messages: &Json, place: String) -> Result<Query, Error> {
    if !messages.is_array() {
        let got = type_name(messages);
        return Err(wrong(place, format!("expected \"messages\" to be a list, got {got}")));
    }
    let turns: Result<Vec<Turn>, String> =
        serde_json::from_value(messages.clone()).map_err(|error| error.to_string());
    let query = turns.and_then(|turns| Query::of(turns).map_err(|error| error.to_string()));
    query.map_err(|error| {
        let roles =
            "turns with \"role\" (system, user or assistant) and a \"content\" that is a string";
        wrong(place, format!("expected \"messages\" to be {roles}: {error}"))
    })
}

fn wrong(source_name: impl Into<String>, reason: String) -> Error {
    Error::Input { source_name: source_name.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_format() {
        let two = ["a\nb", "c"];
        assert_eq!(parse("x", r#"["a\nb", {"prompt": "c"}]"#).unwrap(), two);
        assert_eq!(parse("-", "\u{feff}{\"prompt\":\"a\\nb\"}\r\n\r\n{\"messages\":[{\"role\":\"user\",\"content\":\"c\"}]}").unwrap(), two);
        assert_eq!(parse("x.jsonl", "\"a\\nb\"\n\"c\"\n").unwrap(), two);
        assert_eq!(
            parse("-", "  one line\r\n\r\n[not json]\n").unwrap(),
            ["one line", "[not json]"]
        );
    }

    #[test]
    fn a_conversation_is_a_query() {
        let line =
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}"#;
        let queries = parse("a.jsonl", line).unwrap();
        assert_eq!((queries[0].system(), queries[0].text()), (Some("s"), "System: s\n\nUser: u"));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (name, text, message) in [
            ("a.json", "{}", "a.json: expected a JSON list, got an object"),
            (
                "a.json",
                "[\"x\", 3]",
                "a.json, item 2: expected a string or an object, got a number",
            ),
            ("a.json", "[]", "a.json: expected at least one query, found none"),
            ("a.json", "[\" \"]", "a.json, item 1: expected a query, got an empty text"),
            ("a.jsonl", "{\"prompt\": null}", "a.jsonl, line 1: expected a string, got null"),
            ("a.txt", "\n \n", "a.txt: expected at least one query, found none"),
        ] {
            assert_eq!(parse(name, text).unwrap_err().to_string(), message);
        }
        let error = parse("a.json", "[\"x\"").unwrap_err().to_string();
        assert!(error.starts_with("a.json: not a JSON list: "), "{error}");
        let error =
            parse("a.json", "{\"prompt\":\"x\"}\n{\"prompt\":\"y\"}").unwrap_err().to_string();
        assert!(error.ends_with("; it looks like JSONL, one object a line"), "{error}");
        for (messages, words) in [
            (r#"[{"role":"assistant","content":"a"}]"#, "ends with the user's turn, got assistant"),
            (r#"[{"role":"tool","content":"a"}]"#, "unknown variant `tool`"),
            ("3", "to be a list, got a number"),
        ] {
            let text = format!("{{\"messages\":{messages}}}");
            let error = parse("a.jsonl", &text).unwrap_err().to_string();
            assert!(error.starts_with("a.jsonl, line 1: expected \"messages\""), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }
}
