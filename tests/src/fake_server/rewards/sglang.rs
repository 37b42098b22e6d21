//! `POST /classify` of SGLang, and `POST /v1/classify`, which is of no use for reward models.

use serde::Deserialize;
use serde_json::{Value, json};

use super::score::{classes, results};
use super::{Reply, read, text};
use crate::fake_server::error::ApiError;
use crate::fake_server::fault::Fault;
use crate::fake_server::server::Shared;
use crate::fake_server::wire::OneOrMany;

#[derive(Debug, Deserialize)]
struct Native {
    text: OneOrMany,
}

#[derive(Debug, Deserialize)]
struct Compatible {
    input: OneOrMany,
}

pub(super) fn answer(
    shared: &Shared,
    path: &str,
    body: &[u8],
    fault: Option<&Fault>,
) -> Result<Reply, ApiError> {
    if path == "/v1/classify" {
        return compatible(body, fault);
    }
    let body: Native = read(body)?;
    let one = matches!(body.text, OneOrMany::One(_));
    let texts = body.text.into_vec();
    let scores: Vec<f64> = texts.iter().map(|text| text::score(shared, text, true)).collect();
    let scored = scores.len();
    let items = scores.into_iter().zip(&texts).map(|(score, text)| {
        let tokens = text.split_whitespace().count();
        json!({
            "embedding": classes(score, fault),
            "meta_info": { "id": "0", "finish_reason": null, "prompt_tokens": tokens },
        })
    });
    let mut items = results(items, fault);
    let body = if one { items.pop().unwrap_or_default() } else { Value::Array(items) };
    Ok(Reply { body, scored })
}

/// A softmax over one class is 1 whatever the score.
fn compatible(body: &[u8], fault: Option<&Fault>) -> Result<Reply, ApiError> {
    let texts = read::<Compatible>(body)?.input.into_vec();
    let data = (0..texts.len()).map(
        |index| json!({ "index": index, "label": "LABEL_0", "probs": [1.0], "num_classes": 1 }),
    );
    let body = json!({ "object": "list", "data": results(data, fault) });
    Ok(Reply { body, scored: texts.len() })
}
