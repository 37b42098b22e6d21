//! What keeps one run from continuing another.

use serde_json::{Map, Value as Json};
use textgrad_core::truncate;

/// The differences between two sets of settings, each as `setting: then, now`.
pub(super) fn differences(then: &Json, now: &Json) -> Vec<String> {
    let mut found = Vec::new();
    compare("", then, now, &mut found);
    found
}

fn compare(path: &str, then: &Json, now: &Json, found: &mut Vec<String>) {
    if then == now {
        return;
    }
    let (Json::Object(old), Json::Object(new)) = (then, now) else {
        let show = |value: &Json| truncate(&value.to_string(), 60);
        found.push(format!("{path}: {} then, {} now", show(then), show(now)));
        return;
    };
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let of = |fields: &Map<String, Json>| fields.get(key).cloned().unwrap_or_default();
        compare(&below, &of(old), &of(new), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_setting_is_named() {
        let then = json!({ "seed": 1, "data": { "train": "a", "test": null }, "same": [1] });
        let now = json!({ "seed": 2, "data": { "train": "b" }, "same": [1], "new": true });
        assert_eq!(
            differences(&then, &now),
            [
                "data.train: \"a\" then, \"b\" now",
                "new: null then, true now",
                "seed: 1 then, 2 now"
            ]
        );
        assert!(differences(&then, &then).is_empty());
    }
}
