//! Lenient reading of JSON, names of its types, and the differences between two JSON values.

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

/// Reads JSON as programs write it: what is strict, and else with `NaN`, `Infinity` and halves of a surrogate pair,
/// which Python writes. The numbers become null, the halves U+FFFD.
///
/// # Errors
/// The error of the strict reader.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use textgrad_ops::util::json::read_lenient;
///
/// let text = r#"{"prompt": "one \ud83d?", "score": -Infinity}"#;
/// assert_eq!(read_lenient(text)?, json!({ "prompt": "one \u{fffd}?", "score": null }));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn read_lenient(text: &str) -> serde_json::Result<Json> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&strict(text)).map_err(|_| error))
}

/// The text with what strict JSON does not have replaced.
fn strict(text: &str) -> String {
    let (mut strict, mut rest, mut quoted) = (String::with_capacity(text.len()), text, false);
    while let Some(next) = rest.chars().next() {
        let number =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        let (taken, written) = match (quoted, next, number) {
            (false, _, Some(number)) => (number.len(), "null"),
            (true, '\\', _) => {
                match (surrogate(rest), surrogate(rest.get(6..).unwrap_or_default())) {
                    (Some(Half::High), Some(Half::Low)) => (12, ""),
                    (Some(_), _) => (6, "\\ufffd"),
                    // An escape of one character: a quote among them does not end the string.
                    (None, _) => (1 + rest.chars().nth(1).map_or(0, char::len_utf8), ""),
                }
            }
            _ => (next.len_utf8(), ""),
        };
        quoted ^= next == '"';
        let (head, tail) = rest.split_at(taken);
        strict.push_str(if written.is_empty() { head } else { written });
        rest = tail;
    }
    strict
}

/// A half of a surrogate pair.
enum Half {
    High,
    Low,
}

/// The half that an escape at the beginning of a text stands for.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
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
