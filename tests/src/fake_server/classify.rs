//! `POST /classify`: the reward route, open to anyone as in vLLM.

use super::call::Call;
use super::delivery::Delivery;
use super::error::ApiError;
use super::server::Shared;
use super::wire::{ClassifyBody, estimate_tokens, scores};

pub(super) async fn answer(
    shared: &Shared,
    call: &mut Call,
    body: &[u8],
) -> Result<Delivery, ApiError> {
    let mut body: ClassifyBody = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("The body is not valid: {error}.")))?;
    let head = shared.head("classify", body.model.take())?;
    let activation = body.has_activation();
    let texts = body.into_scored()?;
    call.wait().await;

    let rewards: Vec<f64> =
        texts.iter().map(|text| (shared.reward)(&text.query, &text.answer)).collect();
    let characters: usize =
        texts.iter().map(|text| text.query.chars().count() + text.answer.chars().count()).sum();
    let tokens = estimate_tokens(characters as u64);
    let (text, spoiled) = scores(&head, &rewards, activation, tokens, call.fault());
    shared.recorder().scored(rewards.len());
    let (delivery, badly_sent) = Delivery::json(text, call.fault());
    if spoiled || badly_sent {
        call.fire();
    }
    Ok(delivery)
}
