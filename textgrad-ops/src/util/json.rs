//! Names of JSON types, and the differences between two JSON values.

use serde_json::{Map, Value as Json};

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
}
