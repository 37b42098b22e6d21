//! Scores of texts and of conversations.

use textgrad_core::{Message, MessageRole};

use super::MISPLACED_BOS;
use crate::fake_server::error::ApiError;
use crate::fake_server::server::Shared;
use crate::fake_server::wire::{Conversation, query_and_answer};

/// The score of a text in its chat template, to which the server may add the token that begins a text.
pub(super) fn score(shared: &Shared, text: &str, adds_bos: bool) -> f64 {
    let mut rest = text;
    let mut tokens = usize::from(adds_bos);
    if let Some(bos) = &shared.options.bos {
        while let Some(shorter) = rest.strip_prefix(bos.as_str()) {
            rest = shorter;
            tokens += 1;
        }
    }
    let (query, answer) = query_and_answer(rest);
    (shared.reward)(&query, &answer) + misplaced(shared, tokens)
}

/// The score of a conversation that the server puts into the template, whose token stands there once.
pub(super) fn score_conversation(
    shared: &Shared,
    (query, answer): &(String, String),
    adds_bos: bool,
) -> f64 {
    (shared.reward)(query, answer) + misplaced(shared, 1 + usize::from(adds_bos))
}

/// The last answer and the user's turn before it.
pub(super) fn pair(conversation: Conversation) -> Result<(String, String), ApiError> {
    let messages = conversation.into_messages()?;
    let last = |messages: &[Message], role| {
        let mut numbered = messages.iter().enumerate();
        numbered
            .rfind(|(_, message)| message.role == role)
            .map(|(index, message)| (index, message.text()))
    };
    let (end, answer) =
        last(&messages, MessageRole::Assistant).unwrap_or_else(|| (messages.len(), String::new()));
    let before = messages.get(..end).unwrap_or_default();
    let query = last(before, MessageRole::User).map(|(_, text)| text);
    Ok((query.unwrap_or_default(), answer))
}

/// What the tokens at the beginning of a text do to its score.
fn misplaced(shared: &Shared, tokens: usize) -> f64 {
    match shared.options.bos {
        Some(_) => f64::from(u32::try_from(tokens.abs_diff(1)).unwrap_or(u32::MAX)) * MISPLACED_BOS,
        None => 0.0,
    }
}
