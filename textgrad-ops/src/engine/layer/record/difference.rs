//! Where two requests part.

use serde_json::Value;
use textgrad_core::truncate;

/// The first place at which two values differ, and what stands there, in the order of the first value.
pub(super) fn first_difference(recorded: &Value, asked: &Value) -> Option<String> {
    let mut path = String::new();
    descend(recorded, asked, &mut path)
}

fn descend(recorded: &Value, asked: &Value, path: &mut String) -> Option<String> {
    if recorded == asked {
        return None;
    }
    let before = path.len();
    match (recorded, asked) {
        (Value::Object(recorded), Value::Object(asked)) => {
            let keys =
                recorded.keys().chain(asked.keys().filter(|key| !recorded.contains_key(*key)));
            for key in keys {
                path.push('.');
                path.push_str(key);
                let absent = Value::Null;
                let (left, right) =
                    (recorded.get(key).unwrap_or(&absent), asked.get(key).unwrap_or(&absent));
                if let Some(found) = descend(left, right, path) {
                    return Some(found);
                }
                path.truncate(before);
            }
            None
        }
        (Value::Array(recorded), Value::Array(asked)) => {
            for index in 0..recorded.len().max(asked.len()) {
                path.push_str(&format!("[{index}]"));
                let absent = Value::Null;
                let (left, right) =
                    (recorded.get(index).unwrap_or(&absent), asked.get(index).unwrap_or(&absent));
                if let Some(found) = descend(left, right, path) {
                    return Some(found);
                }
                path.truncate(before);
            }
            None
        }
        (Value::String(recorded), Value::String(asked)) => {
            let same = recorded
                .chars()
                .zip(asked.chars())
                .take_while(|(left, right)| left == right)
                .count();
            let from = same.saturating_sub(10);
            let show = |text: &str| truncate(&text.chars().skip(from).collect::<String>(), 40);
            Some(told(
                path,
                &format!("{:?} from character {from}", show(recorded)),
                &format!("{:?}", show(asked)),
            ))
        }
        _ => Some(told(
            path,
            &truncate(&recorded.to_string(), 60),
            &truncate(&asked.to_string(), 60),
        )),
    }
}

fn told(path: &str, recorded: &str, asked: &str) -> String {
    let path = path.trim_start_matches('.');
    format!("{path}: recorded {recorded}, asked {asked}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
