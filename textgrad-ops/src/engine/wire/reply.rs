//! Replies of servers, before they are a response.

use std::collections::BTreeMap;

use textgrad_core::{Choice, EngineError, ErrorKind, FinishReason, Response, TokenLogprob, Usage};

/// One choice as received: it may have no text. Finish reasons have OpenAI's names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawChoice {
    pub(crate) text: Option<String>,
    pub(crate) finish_reason: Option<String>,
    pub(crate) logprobs: Vec<TokenLogprob>,
}

impl RawChoice {
    /// Adds a piece of the text.
    pub(crate) fn push(&mut self, piece: &str) {
        self.text.get_or_insert_default().push_str(piece);
    }
}

/// A reply as received, whole or as far as its events came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawReply {
    /// By index: events of several answers are interleaved.
    pub(crate) choices: BTreeMap<u64, RawChoice>,
    pub(crate) usage: Usage,
    pub(crate) model: String,
    /// Why the server refused to answer what was asked.
    pub(crate) refused: Option<String>,
    /// Whether the server sent its end mark.
    pub(crate) done: bool,
}

const WITHHELD: &str = "content_filter";

impl RawReply {
    /// The answer of an index, begun if it was not.
    pub(crate) fn choice(&mut self, index: u64) -> &mut RawChoice {
        self.choices.entry(index).or_default()
    }

    /// What an ended stream lacks. An end without the server's end mark is only good if all `n` answers had ended
    /// before, or if there will be none.
    pub(crate) fn missing(&self, done: bool, n: u32) -> Option<String> {
        let begun = self.choices.len();
        let ended = self.choices.values().filter(|choice| choice.finish_reason.is_some()).count();
        if ended < begun {
            return Some(format!(
                "the stream ended within an answer: {ended} of {begun} begun had a finish reason"
            ));
        }
        let is_short = u64::try_from(ended).is_ok_and(|ended| ended < u64::from(n));
        let broke_off = !done && is_short && self.refused.is_none();
        broke_off.then(|| format!("the stream broke off after {ended} of {n} answers"))
    }

    /// The answers in the order of their index, at most `n` of them.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] with the usage, if no choice has a text. It is final if the content was the reason:
    /// a retry cannot help.
    pub(crate) fn into_response(self, n: u32) -> Result<Response, EngineError> {
        let reasons: Vec<&str> = self
            .choices
            .values()
            .map(|choice| choice.finish_reason.as_deref().unwrap_or("none"))
            .collect();
        let what = match reasons.as_slice() {
            [] if let Some(why) = &self.refused => format!("the prompt was refused ({why})"),
            [] => "the reply has no choices".to_owned(),
            reasons => format!(
                "none of the {} choices has a text (finish reasons: {})",
                reasons.len(),
                reasons.join(", ")
            ),
        };
        let withheld = !reasons.is_empty() && reasons.iter().all(|reason| *reason == WITHHELD);
        let refused = self.refused.is_some() || withheld;
        let choices: Vec<Choice> = self
            .choices
            .into_values()
            // Some servers write a text that they withhold as an empty one.
            .filter(|choice| {
                let empty = choice.text.as_ref().is_some_and(String::is_empty);
                !(empty && choice.finish_reason.as_deref() == Some(WITHHELD))
            })
            .filter_map(|choice| {
                // A reason that is absent is kept as one that nobody knows, never as a normal end.
                let reason = FinishReason::from(choice.finish_reason.unwrap_or_default());
                Some(Choice::new(choice.text?, reason).with_logprobs(choice.logprobs))
            })
            .take(usize::try_from(n).unwrap_or(usize::MAX))
            .collect();
        if choices.is_empty() {
            let what = format!("expected an answer, but {what}");
            let error = EngineError::new(ErrorKind::BadResponse, what).with_usage(self.usage);
            return Err(if refused { error.with_retryable(false) } else { error });
        }
        Ok(Response::new(choices).with_usage(self.usage).with_model(self.model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(index: u64, text: Option<&str>, reason: Option<&str>) -> (u64, RawChoice) {
        let (text, finish_reason) = (text.map(Into::into), reason.map(Into::into));
        (index, RawChoice { text, finish_reason, logprobs: Vec::new() })
    }

    fn read(choices: Vec<(u64, RawChoice)>, n: u32) -> Result<Response, EngineError> {
        RawReply { choices: choices.into_iter().collect(), ..RawReply::default() }.into_response(n)
    }

    #[test]
    fn choices_without_a_text_are_dropped() {
        let response = read(
            vec![
                choice(0, None, Some("content_filter")),
                choice(1, Some("kept"), Some("abort")),
                choice(2, None, Some("stop")),
                choice(3, Some(""), None),
            ],
            4,
        )
        .unwrap();
        assert_eq!(
            response.choices,
            [
                Choice::new("kept", FinishReason::Other("abort".into())),
                Choice::new("", FinishReason::Other(String::new()))
            ]
        );
    }

    #[test]
    fn no_usable_choice_is_told_with_the_reasons() {
        let usage =
            Usage { prompt_tokens: 7, completion_tokens: 1, cached_tokens: 0, ..Usage::default() };
        let none = |choices: Vec<(u64, RawChoice)>, refused: Option<&str>| {
            let (choices, refused) = (choices.into_iter().collect(), refused.map(Into::into));
            let reply = RawReply { choices, refused, usage, ..RawReply::default() };
            let error = reply.into_response(2).unwrap_err();
            assert_eq!((error.kind(), error.usage()), (ErrorKind::BadResponse, usage));
            (error.message().to_owned(), !error.is_retryable())
        };
        let empty = |index, reason| choice(index, None, Some(reason));
        for (choices, prompt, what, refused) in [
            (
                vec![choice(1, None, None), empty(0, "length")],
                None,
                "none of the 2 choices has a text (finish reasons: length, none)",
                false,
            ),
            (vec![], None, "the reply has no choices", false),
            (vec![], Some("SAFETY"), "the prompt was refused (SAFETY)", true),
            (
                vec![empty(0, "content_filter"), choice(1, Some(""), Some("content_filter"))],
                None,
                "none of the 2 choices has a text (finish reasons: content_filter, content_filter)",
                true,
            ),
            (
                vec![empty(0, "content_filter"), empty(1, "length")],
                None,
                "none of the 2 choices has a text (finish reasons: content_filter, length)",
                false,
            ),
        ] {
            let what = format!("expected an answer, but {what}");
            assert_eq!(none(choices, prompt), (what, refused));
        }
    }

    #[test]
    fn more_choices_than_asked_for_are_cut() {
        let many =
            (0..5).map(|index| choice(index, Some(&index.to_string()), Some("stop"))).collect();
        let texts: Vec<String> =
            read(many, 2).unwrap().choices.into_iter().map(|choice| choice.text).collect();
        assert_eq!(texts, ["0", "1"]);
    }
}
