//! What is checked before anything is sent.

use textgrad_core::{EngineError, ErrorKind, Sampling};

/// The settings of a sampling that are real numbers, by name.
pub(crate) fn numbers(sampling: &Sampling) -> [(&'static str, Option<f64>); 4] {
    [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ]
}

/// Refuses logprobs, for servers that do not tell them, or tell them in a way that is not read.
pub(crate) fn without_logprobs(sampling: &Sampling) -> Result<(), EngineError> {
    match sampling.top_logprobs {
        None => Ok(()),
        Some(_) => Err(EngineError::new(
            ErrorKind::Unsupported,
            "this engine tells no logprobs of tokens; ask without top_logprobs, or use another engine",
        )),
    }
}

/// Refuses what no server can be asked, and extra fields that have a setting of their own: `own` names the
/// field and the setting.
pub(crate) fn check(sampling: &Sampling, own: &[(&str, &str)]) -> Result<(), EngineError> {
    let wrong = |message: String| Err(EngineError::new(ErrorKind::InvalidRequest, message));
    if sampling.n == 0 {
        return wrong("expected at least 1 answer to be asked for, got n = 0".into());
    }
    for (name, number) in numbers(sampling) {
        if number.is_some_and(|number| !number.is_finite()) {
            return wrong(format!("expected {name} to be a finite number, got {number:?}"));
        }
    }
    match own.iter().find(|(name, _)| sampling.extra.contains_key(*name)) {
        Some((name, setting)) => wrong(format!(
            "expected no extra field `{name}`: it has a setting of its own, {setting}"
        )),
        None => Ok(()),
    }
}
