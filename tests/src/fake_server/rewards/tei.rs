//! `POST /predict` of text-embeddings-inference.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::score::{classes, results, sigmoid};
use super::{Reply, read, text};
use crate::fake_server::error::ApiError;
use crate::fake_server::fault::Fault;
use crate::fake_server::server::Shared;

/// The most inputs of one request that it takes unless it is told otherwise when it is started.
const MAX_BATCH: usize = 32;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Inputs {
    One(String),
    /// One text, or two that belong together.
    Pair(Vec<String>),
    Batch(Vec<Vec<String>>),
}

#[derive(Debug, Deserialize)]
struct Body {
    inputs: Inputs,
    #[serde(default)]
    raw_scores: bool,
}

pub(super) fn answer(
    shared: &Shared,
    body: &[u8],
    fault: Option<&Fault>,
) -> Result<Reply, ApiError> {
    let body: Body =
        read(body).map_err(|error| error.with_status(StatusCode::UNPROCESSABLE_ENTITY))?;
    let labels = |texts: &[String]| -> Result<Value, ApiError> {
        let reward = match texts {
            [text] => text::score(shared, text, true),
            [query, answer] => (shared.reward)(query, answer),
            _ => return Err(invalid("`inputs` must have one or two elements")),
        };
        let score = if body.raw_scores { reward } else { sigmoid(reward) };
        let mut labels: Vec<Value> = (0..)
            .zip(classes(score, fault))
            .map(|(class, score)| json!({ "score": score, "label": format!("LABEL_{class}") }))
            .collect();
        labels.sort_by(|a, b| {
            b["score"]
                .as_f64()
                .partial_cmp(&a["score"].as_f64())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        Ok(Value::Array(labels))
    };
    match &body.inputs {
        Inputs::One(text) => Ok(Reply { body: labels(std::slice::from_ref(text))?, scored: 1 }),
        Inputs::Pair(texts) => Ok(Reply { body: labels(texts)?, scored: 1 }),
        Inputs::Batch(batch) if batch.is_empty() => {
            Err(ApiError::bad_request("`inputs` cannot be empty"))
        }
        Inputs::Batch(batch) if batch.len() > MAX_BATCH => Err(invalid(&format!(
            "batch size {} > maximum allowed batch size {MAX_BATCH}",
            batch.len()
        ))),
        Inputs::Batch(batch) => {
            let all: Vec<Value> =
                batch.iter().map(|texts| labels(texts)).collect::<Result<_, _>>()?;
            let scored = all.len();
            Ok(Reply { body: Value::Array(results(all, fault)), scored })
        }
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}
