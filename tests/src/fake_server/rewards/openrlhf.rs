//! `POST /get_reward` of OpenRLHF.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::score::{classes, number, results};
use super::{Reply, read, text};
use crate::fake_server::error::ApiError;
use crate::fake_server::fault::Fault;
use crate::fake_server::server::Shared;

#[derive(Debug, Deserialize)]
struct Body {
    query: Vec<String>,
    #[serde(default)]
    prompts: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
}

pub(super) fn answer(
    shared: &Shared,
    body: &[u8],
    fault: Option<&Fault>,
    old: bool,
) -> Result<Reply, ApiError> {
    let body: Body = read(body)?;
    let count = body.query.len();
    if !old && (body.prompts.len() != count || body.labels.len() != count) {
        let message = "query, prompts and labels are not equally many";
        return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message));
    }
    let rewards: Vec<Value> = results(
        body.query.iter().map(|text| {
            let score = text::score(shared, text, false);
            match fault {
                Some(Fault::TwoLabels) => Value::Array(classes(score, fault)),
                fault => number(score, fault),
            }
        }),
        fault,
    );
    let body = match old {
        true => json!({ "rewards": rewards }),
        false => json!({ "rewards": rewards, "scores": rewards, "extra_logs": {} }),
    };
    Ok(Reply { body, scored: count })
}
