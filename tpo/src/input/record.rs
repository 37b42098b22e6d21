//! The queries of a file, in the shapes of common data sets, and the errors of those that cannot be read.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};
use textgrad_core::MessageRole;
use textgrad_ops::util::json::{read_lenient, type_name};

use crate::error::Error;
use crate::query::{Query, Turn};

/// The fields that hold a query, the first that is there.
const QUERY: [&str; 5] = ["prompt", "instruction", "question", "query", "problem"];

/// The fields that hold a conversation: OpenAI's, ShareGPT's, that of benchmarks, whose turns are the user's, and that
/// of preference pairs without a prompt.
const CONVERSATION: [&str; 4] = ["messages", "conversations", TURNS, "chosen"];
const TURNS: &str = "turns";

/// What begins the turns of HH-RLHF.
const HUMAN: &str = "\n\nHuman:";
pub(crate) const ASSISTANT: &str = "\n\nAssistant:";

/// The fields that hold a system message beside a query.
const SYSTEM: [&str; 2] = ["system", "system_prompt"];

/// The query of a record, with the other fields of the record; or what is wrong with it. `column` names the field
/// of the query, else it is the first of the usual ones.
pub(super) fn query(item: Json, column: Option<&str>) -> Result<Query, String> {
    match item {
        Json::String(text) => match column {
            None => of_turns(vec![user(&text)]),
            Some(column) => Err(format!(
                "expected an object with the field {column:?}, got a string; leave --prompt-column out where each \
                 record is the query itself"
            )),
        },
        Json::Object(fields) => of_fields(fields, column),
        other => Err(format!("expected a string or an object, got {}", type_name(&other))),
    }
}

fn of_fields(mut fields: Map<String, Json>, column: Option<&str>) -> Result<Query, String> {
    // A field that is null is one that other records of the file have.
    let named = |names: &[&str]| {
        let mut there = names.iter().filter_map(|name| {
            fields.iter().find(|(field, _)| field.trim().eq_ignore_ascii_case(name))
        });
        let first = there.clone().next();
        there.find(|(_, value)| !value.is_null()).or(first)
    };
    let usual = [&QUERY[..], &CONVERSATION[..]].concat();
    let found = column.map_or_else(|| named(&usual), |column| fields.get_key_value(column));
    let (name, value) = found.ok_or_else(|| {
        let quoted = |names: Vec<&str>| {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            names.join(", ")
        };
        let got = quoted(fields.keys().map(String::as_str).collect());
        let got = if got.is_empty() { "none" } else { &got };
        match column {
            Some(column) => format!("expected the field {column:?}, got {got}"),
            None => {
                let known = quoted(usual);
                let advice = "name the right one with --prompt-column";
                format!("expected one of the fields {known}, got {got}; {advice}")
            }
        }
    })?;
    let is_conversation = CONVERSATION.iter().any(|usual| name.trim().eq_ignore_ascii_case(usual));
    // A cell of a table holds a conversation as JSON.
    let cell = value.as_str().and_then(|text| conversation(text, is_conversation));
    let value = cell.as_ref().unwrap_or(value);
    let text = value.as_str().filter(|text| is_conversation && text.starts_with(HUMAN));
    // The answer comes last.
    let asked = text.map(|text| text.rsplit_once(ASSISTANT).map_or(text, |(asked, _)| asked));
    let default_role = name.trim().eq_ignore_ascii_case(TURNS).then_some(MessageRole::User);
    let mut turns = match value {
        Json::String(_) if asked.is_some() => asked.map(dialogue).unwrap_or_default(),
        Json::String(text) if !is_conversation => vec![user(&with_input(text, &fields)?)],
        Json::Array(messages) => messages
            .iter()
            .map(|message| {
                turn(message, default_role)
                    .map_err(|error| format!("expected {name:?} to be {error}"))
            })
            .collect::<Result<_, _>>()?,
        other if is_conversation => {
            return Err(format!("expected {name:?} to be a list, got {}", type_name(other)));
        }
        other => {
            return Err(format!("expected {name:?} to be a string, got {}", type_name(other)));
        }
    };
    // Data sets for training end with the answer.
    let ends = turns.last_chunk().map(|[asked, answer]| [asked.role, answer.role]);
    if ends == Some([MessageRole::User, MessageRole::Assistant]) {
        turns.pop();
    }
    let system = named(&SYSTEM);
    match system {
        None | Some((_, Json::Null)) => {}
        Some((_, Json::String(system))) if system.trim().is_empty() => {}
        Some((name, Json::String(system))) => {
            if turns.first().is_some_and(|turn| turn.role == MessageRole::System) {
                return Err(format!(
                    "expected one system message, got two, one of them in {name:?}"
                ));
            }
            turns.insert(0, Turn { role: MessageRole::System, content: system.clone() });
        }
        Some((name, other)) => {
            return Err(format!("expected {name:?} to be a string, got {}", type_name(other)));
        }
    }
    let query = of_turns(turns).map_err(|error| match value {
        Json::Array(_) => {
            format!("expected {name:?} with {}", error.trim_start_matches("expected "))
        }
        _ => error,
    })?;
    let used = [Some(name), system.map(|(name, _)| name)].map(Option::<&String>::cloned);
    fields.retain(|name, value| !value.is_null() && !used.contains(&Some(name.clone())));
    Ok(query.with_fields(fields))
}

/// The conversation that a text is as JSON. Where a query is expected, all its turns must have their usual form.
fn conversation(text: &str, is_expected: bool) -> Option<Json> {
    let is_list = text.trim_start().starts_with('[');
    let parsed: Json = (is_expected || is_list).then(|| read_lenient(text).ok()).flatten()?;
    let is_turn = |turn: &Json| {
        let named = |name: &str| turn.get(name).is_some_and(Json::is_string);
        named("role") && turn.get("content").is_some() || named("from") && named("value")
    };
    let is_turns = |turns: &Vec<Json>| !turns.is_empty() && turns.iter().all(is_turn);
    (is_expected || parsed.as_array().is_some_and(is_turns)).then_some(parsed)
}

/// An instruction with its input, as Stanford Alpaca has them: the input after a blank line.
fn with_input(text: &str, fields: &Map<String, Json>) -> Result<String, String> {
    match fields.get("input") {
        Some(Json::String(input)) if !input.trim().is_empty() => Ok(format!("{text}\n\n{input}")),
        None | Some(Json::Null | Json::String(_)) => Ok(text.to_owned()),
        Some(other) => Err(format!("expected \"input\" to be a string, got {}", type_name(other))),
    }
}

/// The turns of a text in the form of HH-RLHF: each begins with a blank line and `Human:` or `Assistant:`. A turn that
/// follows one of the same side is joined to it, and an empty one is left out.
pub(crate) fn dialogue(text: &str) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (index, part) in text.split(HUMAN).enumerate() {
        for (side, content) in part.split(ASSISTANT).map(str::trim).enumerate() {
            let role = if side == 0 { MessageRole::User } else { MessageRole::Assistant };
            // What stands before the first mark is no turn.
            if content.is_empty() || (index == 0 && side == 0) {
                continue;
            }
            match turns.last_mut() {
                Some(last) if last.role == role => {
                    last.content.push_str("\n\n");
                    last.content.push_str(content);
                }
                _ => turns.push(Turn { role, content: content.to_owned() }),
            }
        }
    }
    turns
}

fn user(text: &str) -> Turn {
    Turn { role: MessageRole::User, content: text.to_owned() }
}

pub(crate) fn of_turns(turns: Vec<Turn>) -> Result<Query, String> {
    match turns.as_slice() {
        [only] if only.content.trim().is_empty() => {
            Err("expected a query, got an empty text".to_owned())
        }
        [only] if only.role == MessageRole::User => Ok(Query::from(only.content.as_str())),
        _ => Query::of(turns).map_err(|error| error.to_string()),
    }
}

/// A turn, `role` and `content` as OpenAI has them, or `from` and `value` as ShareGPT does.
fn turn(message: &Json, default_role: Option<MessageRole>) -> Result<Turn, String> {
    let either = |names: [&str; 2]| names.iter().find_map(|name| message.get(name));
    let expected = "turns with \"role\" (system, user or assistant) and \"content\"";
    let role = match either(["role", "from"]).and_then(Json::as_str) {
        Some("system" | "developer") => MessageRole::System,
        Some("user" | "human") => MessageRole::User,
        Some("assistant" | "gpt" | "model") => MessageRole::Assistant,
        Some(other) => return Err(format!("{expected}, got the role {other:?}")),
        None => default_role.ok_or_else(|| format!("{expected}, got one without a role"))?,
    };
    let text = Some(message).filter(|message| default_role.is_some() && message.is_string());
    let content = match text.or_else(|| either(["content", "value"])) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(parts)) => {
            let text = |part: &Json| {
                let text = part.as_str().or_else(|| part.get("text")?.as_str());
                text.map(str::to_owned).ok_or_else(|| {
                    let kind = part.get("type").and_then(Json::as_str).unwrap_or("without a type");
                    format!("{expected} of text, got the part {kind:?}; only text is read")
                })
            };
            parts.iter().map(text).collect::<Result<String, _>>()?
        }
        other => {
            let got = other.map_or("nothing", type_name);
            return Err(format!("{expected} that is a text, got {got}"));
        }
    };
    Ok(Turn { role, content })
}

/// The most records that an error describes.
const MAX_SHOWN: usize = 3;

/// All records of a file, each with its location.
///
/// # Errors
/// [`Error::Input`] with the location and the reason of a record that cannot be read; of several, with their number
/// and the first of them.
pub(crate) fn read_all<T>(
    source: &str,
    records: impl Iterator<Item = (String, Result<T, String>)>,
) -> Result<Vec<(String, T)>, Error> {
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for (location, record) in records {
        match record {
            Ok(record) => read.push((location, record)),
            Err(reason) => unread.push((location, reason)),
        }
    }
    let (bad, count) = (unread.len(), read.len() + unread.len());
    let mut unread = unread.into_iter();
    let Some((source_name, reason)) = unread.next() else { return Ok(read) };
    if bad == 1 {
        return Err(Error::input(source_name, reason));
    }
    let mut listed = format!("{bad} of {count} records cannot be read\n  {source_name}: {reason}");
    for (location, reason) in unread.take(MAX_SHOWN - 1) {
        // Writing to a string cannot fail.
        let _ = write!(listed, "\n  {location}: {reason}");
    }
    if bad > MAX_SHOWN {
        let _ = write!(listed, "\n  ... and {} more", bad - MAX_SHOWN);
    }
    Err(Error::input(source, listed))
}

#[cfg(test)]
mod tests {
    use crate::input::parse;

    #[test]
    fn several_records_that_cannot_be_read_are_counted_and_the_first_are_described() {
        let refused = |text: &str| parse("q.jsonl", text).unwrap_err().to_string();
        let good = "{\"prompt\":\"one?\"}\n";
        let one = refused(&format!("{good}{{\n{good}"));
        assert!(one.starts_with("q.jsonl, line 2: not JSON: ") && !one.contains('\n'), "{one}");
        let two = refused(&format!("{good}{{\n{good}7\n"));
        let lines: Vec<&str> = two.lines().collect();
        assert_eq!(lines[0], "q.jsonl: 2 of 4 records cannot be read");
        assert!(lines[1].starts_with("  q.jsonl, line 2: not JSON: "), "{two}");
        assert!(lines[2].starts_with("  q.jsonl, line 4: expected "), "{two}");
        assert_eq!(lines.len(), 3, "{two}");
        let many = refused(&format!("{good}{}", "7\n".repeat(1000)));
        assert!(many.starts_with("q.jsonl: 1000 of 1001 records cannot be read\n"), "{many}");
        assert!(many.ends_with("\n  ... and 997 more") && many.lines().count() == 5, "{many}");
    }
}
