//! Lenient reading of JSON, names of its types, and the differences between two JSON values.

use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value as Json};
use textgrad_core::truncate;

/// The type of a value, with its article, for messages: `expected a list, got a number`.
#[must_use]
pub fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Reads JSON as programs and models write it: what is strict, and else with what Python, JavaScript and language
/// models write beside it.
///
/// | text | read as |
/// |---|---|
/// | `NaN`, `Infinity` | null |
/// | `True`, `False`, `None` | true, false, null |
/// | half of a surrogate pair | U+FFFD |
/// | an escape that JSON does not have, such as `\\(` | the backslash and the character |
/// | a line break or another control character in a string | itself |
/// | a comma before a closing bracket | nothing |
///
/// # Errors
/// The error of the strict reader.
///
/// # Examples
/// ```
/// use serde_json::{Value, json};
/// use textgrad_ops::util::json::read_lenient;
///
/// let text = r#"{"prompt": "one \ud83d?", "score": -Infinity,}"#;
/// assert_eq!(read_lenient::<Value>(text)?, json!({ "prompt": "one \u{fffd}?", "score": null }));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn read_lenient<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let lone = |_| char::REPLACEMENT_CHARACTER;
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&mend(text, lone)).map_err(|_| error))
}

/// The error of a JSON text that is one line of a file: with the column, without a line number of its own.
#[must_use]
pub fn error_in_line(error: &serde_json::Error) -> serde_json::Error {
    serde_json::Error::custom(error.to_string().replace(" at line 1 column ", " at column "))
}

/// Words that other languages have, and what JSON has for them.
const WORDS: [(&str, &str); 7] = [
    ("NaN", "null"),
    ("-NaN", "null"),
    ("Infinity", "null"),
    ("-Infinity", "null"),
    ("None", "null"),
    ("True", "true"),
    ("False", "false"),
];

/// Replaces what strict JSON does not have; see [`read_lenient`]. A half of a surrogate pair becomes what `lone` makes
/// of its code unit.
pub(crate) fn mend(text: &str, lone: impl Fn(u32) -> char) -> String {
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut in_string) = (text, false);
    while let Some(char) = rest.chars().next() {
        let taken = match char {
            '\\' if in_string => escape(rest, &lone, &mut mended),
            c if in_string && c.is_ascii_control() => {
                mended.push_str(&format!("\\u{:04x}", u32::from(c)));
                1
            }
            ',' if !in_string && is_last(rest) => 1,
            _ => match WORDS.iter().find(|(word, _)| !in_string && rest.starts_with(word)) {
                Some((word, value)) => {
                    mended.push_str(value);
                    word.len()
                }
                None => {
                    in_string ^= char == '"';
                    mended.push(char);
                    char.len_utf8()
                }
            },
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    mended
}

/// Whether a closing bracket follows the comma that a text begins with.
fn is_last(text: &str) -> bool {
    let behind = text.strip_prefix(',').unwrap_or_default();
    behind.trim_ascii_start().starts_with(['}', ']'])
}

/// Copies the escape that `rest` begins with, and returns its length.
fn escape(rest: &str, lone: impl Fn(u32) -> char, mended: &mut String) -> usize {
    let Some(unit) = code_unit(rest) else {
        let next = rest.chars().nth(1);
        let is_known = next.is_some_and(|next| "\"\\/bfnrt".contains(next));
        mended.push_str(if is_known { "\\" } else { "\\\\" });
        mended.extend(next);
        return 1 + next.map_or(0, char::len_utf8);
    };
    let next = rest.get(6..).and_then(code_unit);
    let is_pair = (0xD800..0xDC00).contains(&unit)
        && next.is_some_and(|next| (0xDC00..0xE000).contains(&next));
    let taken = if is_pair { 12 } else { 6 };
    if !is_pair && (0xD800..0xE000).contains(&unit) {
        mended.push(lone(unit));
    } else {
        mended.push_str(rest.get(..taken).unwrap_or_default());
    }
    taken
}

/// The code unit of an escape `\uXXXX` at the beginning.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// A value that differs between two settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference<'a> {
    /// The keys from the top, joined by dots.
    pub path: String,
    /// The earlier value; null where there was none.
    pub then: &'a Json,
    /// The present value; null where there is none.
    pub now: &'a Json,
}

/// All differences between two settings, sorted by key. Objects are compared key by key, all else as a whole.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use textgrad_ops::util::json::differences;
///
/// let (then, now) = (json!({"seed": 1, "data": {"n": 5}}), json!({"seed": 2, "data": {"n": 5}}));
/// let found = differences(&then, &now);
/// assert_eq!((found.len(), found[0].path.as_str(), found[0].now), (1, "seed", &json!(2)));
/// ```
#[must_use]
pub fn differences<'a>(then: &'a Json, now: &'a Json) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    compare(String::new(), then, now, Lists::Whole, &mut found);
    found
}

/// How lists are compared.
#[derive(Clone, Copy, PartialEq)]
enum Lists {
    Whole,
    ByItem,
}

fn compare<'a>(
    path: String,
    then: &'a Json,
    now: &'a Json,
    lists: Lists,
    found: &mut Vec<Difference<'a>>,
) {
    if then == now {
        return;
    }
    match (then, now) {
        (Json::Object(old), Json::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let of = |fields: &'a Map<String, Json>| fields.get(key).unwrap_or(&Json::Null);
                compare(below, of(old), of(new), lists, found);
            }
        }
        (Json::Array(old), Json::Array(new)) if lists == Lists::ByItem => {
            for index in 0..old.len().max(new.len()) {
                let of = |items: &'a [Json]| items.get(index).unwrap_or(&Json::Null);
                compare(format!("{path}[{index}]"), of(old), of(new), lists, found);
            }
        }
        _ => found.push(Difference { path, then, now }),
    }
}

/// The first place at which two values differ, and what stands there. Lists are compared item by item.
pub(crate) fn first_difference(recorded: &Json, asked: &Json) -> Option<String> {
    let mut found = Vec::new();
    compare(String::new(), recorded, asked, Lists::ByItem, &mut found);
    let Difference { path, then, now } = found.into_iter().next()?;
    Some(match (then, now) {
        (Json::String(recorded), Json::String(asked)) => {
            let pairs = recorded.chars().zip(asked.chars());
            let same = pairs.take_while(|(left, right)| left == right).count();
            let from = same.saturating_sub(10);
            let show = |text: &str| truncate(&text.chars().skip(from).collect::<String>(), 40);
            let (recorded, asked) = (show(recorded), show(asked));
            format!("{path}: recorded {recorded:?} from character {from}, asked {asked:?}")
        }
        _ => {
            let show = |value: &Json| truncate(&value.to_string(), 60);
            format!("{path}: recorded {}, asked {}", show(then), show(now))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Kind: Malformed JSON | JSON of a model: commas before brackets, line breaks and `\(` in strings, `True` | read
    #[test]
    fn what_models_write_is_read() {
        for (text, value) in [
            ("{\"a\": \"one\ntwo\", \"b\": [1, 2,],}", json!({"a": "one\ntwo", "b": [1, 2]})),
            (
                r#"{"a": "\(x\) \d \' \u12", "b": "\\( ,} \""}"#,
                json!({"a": "\\(x\\) \\d \\' \\u12", "b": "\\( ,} \""}),
            ),
            (
                r#"[True, False, None, NaN, -Infinity, "True NaN,]"]"#,
                json!([true, false, null, null, null, "True NaN,]"]),
            ),
            ("{\"a\": \"\t\u{7f}\" ,\n }", json!({"a": "\t\u{7f}"})),
        ] {
            assert_eq!(read_lenient::<Json>(text).unwrap(), value);
        }
        for text in ["", "{,}x", "[1,,]", "{\"a\": 1} {", "{'a': 1}", "\"\\"] {
            assert!(read_lenient::<Json>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_difference_is_named_by_its_path() {
        let then = json!({ "seed": 1, "data": { "train": "a", "test": null }, "same": [1] });
        let now = json!({ "seed": 2, "data": { "train": "b" }, "same": [1], "new": true });
        let found = differences(&then, &now);
        let found: Vec<_> =
            found.iter().map(|d| format!("{}: {} {}", d.path, d.then, d.now)).collect();
        assert_eq!(found, ["data.train: \"a\" \"b\"", "new: null true", "seed: 1 2"]);
        assert!(differences(&then, &then).is_empty());
    }

    #[test]
    fn the_first_difference_is_found_and_shown() {
        let recorded =
            json!({"m": [{"t": "a long text that is the same up to here: one"}], "n": 1});
        let asked = json!({"m": [{"t": "a long text that is the same up to here: two"}], "n": 2});
        assert_eq!(
            first_difference(&recorded, &asked).unwrap(),
            r#"m[0].t: recorded " to here: one" from character 31, asked " to here: two""#
        );
        assert_eq!(first_difference(&recorded, &recorded), None);
        assert_eq!(
            first_difference(&json!({"a": 1}), &json!({"a": 1, "b": 2})).unwrap(),
            "b: recorded null, asked 2"
        );
        assert_eq!(
            first_difference(&json!([1]), &json!([])).unwrap(),
            "[0]: recorded 1, asked null"
        );
    }

    #[test]
    fn letters_are_never_cut_in_two() {
        let found =
            first_difference(&json!("ééééééééééééééé1"), &json!("ééééééééééééééé2")).unwrap();
        assert!(found.contains("éé1"), "{found}");
    }
}
