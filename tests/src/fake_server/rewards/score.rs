//! Scores as they are written, spoiled or not.

use serde_json::{Value, json};

use crate::fake_server::fault::Fault;

/// Stands for a `NaN` until the body is text. No client can bring this character into a field of its own.
const NAN: &str = "\u{1}NaN";

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Whether a fault spoils scores, rather than their delivery.
pub(super) fn spoils(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::NanScore
            | Fault::NullScore
            | Fault::StringScore
            | Fault::TwoLabels
            | Fault::FewerScores
    )
}

/// One score, or what the fault makes of it.
pub(super) fn number(score: f64, fault: Option<&Fault>) -> Value {
    match fault {
        Some(Fault::NanScore) => json!(NAN),
        Some(Fault::NullScore) => Value::Null,
        Some(Fault::StringScore) => json!(score.to_string()),
        _ => json!(score),
    }
}

/// The scores of all classes of a model, of which there should be one.
pub(super) fn classes(score: f64, fault: Option<&Fault>) -> Vec<Value> {
    match fault {
        Some(Fault::TwoLabels) => {
            let second = sigmoid(score);
            vec![json!(1.0 - second), json!(second)]
        }
        fault => vec![number(score, fault)],
    }
}

/// The results of all answers, or of all but the last.
pub(super) fn results(all: impl IntoIterator<Item = Value>, fault: Option<&Fault>) -> Vec<Value> {
    let mut results: Vec<Value> = all.into_iter().collect();
    if let Some(Fault::FewerScores) = fault {
        results.pop();
    }
    results
}

/// A body as text, in which a `NaN` is no JSON.
pub(super) fn written(body: &Value) -> String {
    body.to_string().replace(&json!(NAN).to_string(), "NaN")
}
