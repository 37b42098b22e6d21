//! Responses without an answer.

use textgrad_core::{Choice, EngineError, ErrorKind, Response, Usage};

/// The number of finish reasons that an error lists.
const LISTED_REASONS: usize = 5;

/// The choices of a response that have a text.
///
/// # Errors
/// If there is none: the class and the words of the clients for such a reply.
pub(super) fn answers(response: Response) -> Result<Vec<Choice>, EngineError> {
    let is_blank = |choice: &Choice| choice.text.trim().is_empty();
    if response.choices.iter().all(is_blank) {
        return Err(of_response(&response).with_usage(response.usage));
    }
    Ok(response.choices.into_iter().filter(|choice| !is_blank(choice)).collect())
}

/// Why a response has no text.
pub(super) fn of_response(response: &Response) -> EngineError {
    let choices = response.choices.iter();
    let reasons: Vec<&str> = choices.map(|choice| choice.finish_reason.as_str()).collect();
    no_answer(&reasons, "content_filter", response.usage, false, "")
}

/// The error of a reply none of whose choices has a text, by their finish reasons: [`ErrorKind::Refused`] in the words
/// of the `refusal`; [`ErrorKind::NoAnswer`], which is final where the bound on the tokens was the reason;
/// [`ErrorKind::BadResponse`] if there are no choices. `reasoned` says that reasoning took the tokens, `within` what
/// else is known of the end.
pub(crate) fn no_answer(
    reasons: &[&str],
    refusal: &str,
    usage: Usage,
    reasoned: bool,
    within: &str,
) -> EngineError {
    let is_each = |reason: &str| reasons.iter().all(|one| *one == reason);
    if reasons.is_empty() {
        let what = "expected an answer, but the reply has no choices";
        return EngineError::new(ErrorKind::BadResponse, what);
    }
    if is_each("content_filter") {
        let what = format!("the model refused to answer: {refusal}");
        return EngineError::new(ErrorKind::Refused, what);
    }
    if is_each("length") {
        let tokens = usage.completion_tokens;
        let why = match reasoned || usage.reasoning_tokens > 0 {
            true => format!("all {tokens} completion tokens went into reasoning"),
            false => format!("the bound on tokens was reached after {tokens} completion tokens"),
        };
        let what = format!(
            "expected an answer, got none: {why}; raise max tokens (--max-tokens, --critic-max-tokens) or lower the \
             reasoning effort"
        );
        return EngineError::new(ErrorKind::NoAnswer, what).with_retryable(false);
    }
    let shown =
        |reason: &&str| if reason.is_empty() { "none".to_owned() } else { (*reason).to_owned() };
    let mut listed: Vec<String> = reasons.iter().take(LISTED_REASONS).map(shown).collect();
    if reasons.len() > LISTED_REASONS {
        listed.push("..".to_owned());
    }
    let what = format!(
        "expected an answer, but none of the {} choices has a text (finish reasons: {}){within}",
        reasons.len(),
        listed.join(", ")
    );
    EngineError::new(ErrorKind::NoAnswer, what)
}
