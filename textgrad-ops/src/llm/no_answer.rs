//! Responses without an answer.

use textgrad_core::{Choice, EngineError, ErrorKind, FinishReason, Response};

/// The number of finish reasons that an error lists.
const LISTED_REASONS: usize = 5;

/// The choices of a response that have a text.
///
/// # Errors
/// If there is none: the class and the words of the clients for such a reply.
pub(super) fn answers(response: Response) -> Result<Vec<Choice>, EngineError> {
    let is_blank = |choice: &Choice| choice.text.trim().is_empty();
    if response.choices.iter().all(is_blank) {
        return Err(no_answer(&response).with_usage(response.usage));
    }
    Ok(response.choices.into_iter().filter(|choice| !is_blank(choice)).collect())
}

/// Why a response has no text.
pub(super) fn no_answer(Response { choices, usage, .. }: &Response) -> EngineError {
    let is_each = |reason: FinishReason| choices.iter().all(|one| one.finish_reason == reason);
    if choices.is_empty() {
        let what = "expected an answer, but the reply has no choices";
        return EngineError::new(ErrorKind::BadResponse, what);
    }
    if is_each(FinishReason::ContentFilter) {
        let what = "the model refused to answer: content_filter";
        return EngineError::new(ErrorKind::Refused, what);
    }
    if is_each(FinishReason::Length) {
        let what = format!(
            "expected an answer, got none: the bound on tokens was reached after {} completion tokens; raise max \
             tokens or lower the reasoning effort",
            usage.completion_tokens
        );
        return EngineError::new(ErrorKind::NoAnswer, what).with_retryable(false);
    }
    let reason = |choice: &Choice| match choice.finish_reason.as_str() {
        "" => "none".to_owned(),
        reason => reason.to_owned(),
    };
    let mut reasons: Vec<String> = choices.iter().map(reason).take(LISTED_REASONS).collect();
    if choices.len() > LISTED_REASONS {
        reasons.push("..".to_owned());
    }
    let what = format!(
        "expected an answer, but none of the {} choices has a text (finish reasons: {})",
        choices.len(),
        reasons.join(", ")
    );
    EngineError::new(ErrorKind::NoAnswer, what)
}
