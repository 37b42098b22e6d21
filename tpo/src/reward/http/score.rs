//! Reading scores out of replies.

use serde_json::Value as Json;
use textgrad_core::{EngineError, ErrorKind, excerpt};

/// The longest part of a reply that an error shows, in characters.
const SHOWN: usize = 200;

/// A reply that is not what the route promises. Asking again cannot help.
pub(super) fn wrong(path: &str, expected: &str, got: &str, answer: Option<&str>) -> EngineError {
    let mut message = format!("expected {expected} from /{path}, got {}", excerpt(got, SHOWN));
    if let Some(answer) = answer {
        message.push_str(&format!(", for the answer {:?}", excerpt(answer, 80)));
    }
    EngineError::new(ErrorKind::BadResponse, message).with_retryable(false)
}

/// A finite number.
pub(super) fn finite(path: &str, value: &Json, answer: &str) -> Result<f64, EngineError> {
    value
        .as_f64()
        .filter(|score| score.is_finite())
        .ok_or_else(|| wrong(path, "one finite score", &value.to_string(), Some(answer)))
}

/// The only number of a list of scores, one per class.
pub(super) fn only(path: &str, scores: &Json, answer: &str) -> Result<f64, EngineError> {
    match scores.as_array().map(Vec::as_slice) {
        Some([score]) => finite(path, score, answer),
        Some(many) => Err(classes(path, many.len(), answer)),
        None => Err(wrong(path, "a list of scores", &scores.to_string(), Some(answer))),
    }
}

/// A model that gives another number of scores than one.
pub(super) fn classes(path: &str, count: usize, answer: &str) -> EngineError {
    let got = format!("{count} classes: this is not a reward model with one output");
    wrong(path, "one finite score", &got, Some(answer))
}

/// One item per answer, by `index` where the items have one.
pub(super) fn items<'j>(
    path: &str,
    list: Option<&'j Json>,
    answers: &[&str],
) -> Result<Vec<&'j Json>, EngineError> {
    let items = list.and_then(Json::as_array);
    let mut items: Vec<&Json> = items
        .ok_or_else(|| {
            let got = list.map_or_else(|| "none".to_owned(), ToString::to_string);
            wrong(path, "a list of results", &got, answers.first().copied())
        })?
        .iter()
        .collect();
    if items.len() != answers.len() {
        let (expected, got) = (format!("{} result(s)", answers.len()), items.len().to_string());
        return Err(wrong(path, &expected, &got, answers.first().copied()));
    }
    let index = |item: &Json| item.get("index").and_then(Json::as_u64);
    if items.iter().all(|item| index(item).is_some()) {
        items.sort_by_key(|item| index(item));
        // A place that is there twice would give an answer the score of another.
        if let Some((_, item)) = (0..).zip(&items).find(|(place, item)| index(item) != Some(*place))
        {
            let expected = format!("each index from 0 to {} once", items.len().saturating_sub(1));
            return Err(wrong(path, &expected, &item.to_string(), answers.first().copied()));
        }
    }
    Ok(items)
}
