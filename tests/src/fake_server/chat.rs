//! `POST /v1/chat/completions`.

use textgrad_core::{Engine, Usage};

use super::call::Call;
use super::delivery::Delivery;
use super::error::ApiError;
use super::fault;
use super::server::Shared;
use super::wire::{Answer, ChatBody, ValidChat, chunks, completion, estimate_tokens};

pub(super) async fn answer(
    shared: &Shared,
    call: &mut Call,
    body: &[u8],
) -> Result<Delivery, ApiError> {
    let body: ChatBody = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("The body is not valid: {error}.")))?;
    let ValidChat { model, request, stream, include_usage } =
        body.validate(shared.options.max_choices)?;
    let head = shared.head("chatcmpl", model)?;
    let known = shared.recorder().read(&request.messages);

    call.wait().await;
    let mut response = shared.engine.complete(&request).await?;
    response.choices.truncate(request.sampling.n as usize);

    let characters = |text: &str| text.chars().count() as u64;
    let usage = if response.usage == Usage::default() {
        let read = request.messages.iter().map(|m| characters(&m.text())).sum();
        let written = response.choices.iter().map(|c| characters(&c.text));
        Usage {
            prompt_tokens: estimate_tokens(read),
            completion_tokens: written.map(estimate_tokens).sum(),
            cached_tokens: known / 4,
            ..Usage::default()
        }
    } else {
        response.usage
    };

    let mut answers: Vec<Answer> = response.choices.into_iter().map(Answer::from).collect();
    let spoiled = call.fault().is_some_and(|fault| fault::edit(fault, &mut answers));
    let written = answers.iter().map(|answer| answer.content.as_deref());
    shared.recorder().wrote(&request.messages, written);

    let (delivery, badly_sent) = if stream {
        let events = chunks(&head, &answers, include_usage.then_some(usage));
        Delivery::events(events, call.fault())
    } else {
        let body = completion(&head, &answers, usage).to_string();
        Delivery::json(body, call.fault())
    };
    if spoiled || badly_sent {
        call.fire();
    }
    Ok(delivery)
}
