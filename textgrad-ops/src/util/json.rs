//! Names of JSON types, and the differences between two JSON values.

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
    compare("", then, now, &mut found);
    found
}

fn compare<'a>(path: &str, then: &'a Json, now: &'a Json, found: &mut Vec<Difference<'a>>) {
    if then == now {
        return;
    }
    let (Json::Object(old), Json::Object(new)) = (then, now) else {
        found.push(Difference { path: path.to_owned(), then, now });
        return;
    };
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let of = |fields: &'a Map<String, Json>| fields.get(key).unwrap_or(&Json::Null);
        compare(&below, of(old), of(new), found);
    }
}

/// The first place at which two values differ, and what stands there, in the order of the first value.
pub(crate) fn first_difference(recorded: &Json, asked: &Json) -> Option<String> {
    let mut path = String::new();
    descend(recorded, asked, &mut path)
}

fn descend(recorded: &Json, asked: &Json, path: &mut String) -> Option<String> {
    if recorded == asked {
        return None;
    }
    let before = path.len();
    match (recorded, asked) {
        (Json::Object(recorded), Json::Object(asked)) => {
            let keys =
                recorded.keys().chain(asked.keys().filter(|key| !recorded.contains_key(*key)));
            for key in keys {
                path.push('.');
                path.push_str(key);
                let absent = Json::Null;
                let (left, right) =
                    (recorded.get(key).unwrap_or(&absent), asked.get(key).unwrap_or(&absent));
                if let Some(found) = descend(left, right, path) {
                    return Some(found);
                }
                path.truncate(before);
            }
            None
        }
        (Json::Array(recorded), Json::Array(asked)) => {
            for index in 0..recorded.len().max(asked.len()) {
                path.push_str(&format!("[{index}]"));
                let absent = Json::Null;
                let (left, right) =
                    (recorded.get(index).unwrap_or(&absent), asked.get(index).unwrap_or(&absent));
                if let Some(found) = descend(left, right, path) {
                    return Some(found);
                }
                path.truncate(before);
            }
            None
        }
        (Json::String(recorded), Json::String(asked)) => {
            let same = recorded
                .chars()
                .zip(asked.chars())
                .take_while(|(left, right)| left == right)
                .count();
            let from = same.saturating_sub(10);
            let show = |text: &str| truncate(&text.chars().skip(from).collect::<String>(), 40);
            Some(described(
                path,
                &format!("{:?} from character {from}", show(recorded)),
                &format!("{:?}", show(asked)),
            ))
        }
        _ => Some(described(
            path,
            &truncate(&recorded.to_string(), 60),
            &truncate(&asked.to_string(), 60),
        )),
    }
}

fn described(path: &str, recorded: &str, asked: &str) -> String {
    let path = path.trim_start_matches('.');
    format!("{path}: recorded {recorded}, asked {asked}")
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
