//! Replies of servers, before they are a response.

use std::collections::BTreeMap;

use textgrad_core::{Choice, FinishReason, Response, TokenLogprob, Usage};

/// One choice as received: it may have no text. Finish reasons have OpenAI's names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawChoice {
    pub(crate) index: u64,
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

/// A whole reply, streamed or not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawReply {
    pub(crate) choices: Vec<RawChoice>,
    pub(crate) usage: Usage,
    pub(crate) model: String,
    /// Why the server refused to answer what was asked.
    pub(crate) refused: Option<String>,
}

/// Why a reply is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    /// What the reply has instead.
    pub(super) what: String,
    /// Whether it was withheld for the content of the answer or the request: a retry cannot help.
    pub(super) refused: bool,
    /// What it cost nevertheless.
    pub(super) usage: Usage,
}

const WITHHELD: &str = "content_filter";

impl RawReply {
    /// The answers in the order of their index, at most `n` of them.
    ///
    /// # Errors
    /// The reason, if no choice has a text.
    pub(crate) fn into_response(mut self, n: u32) -> Result<Response, NoAnswer> {
        self.choices.sort_by_key(|choice| choice.index);
        let reasons: Vec<&str> = self
            .choices
            .iter()
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
            .into_iter()
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
            return Err(NoAnswer { what, refused, usage: self.usage });
        }
        Ok(Response::new(choices).with_usage(self.usage).with_model(self.model))
    }
}

/// The pieces received so far, by index: pieces of several answers are interleaved.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    choices: BTreeMap<u64, RawChoice>,
    pub(crate) usage: Usage,
    pub(crate) model: String,
    pub(crate) refused: Option<String>,
    /// Whether the server sent its end mark.
    pub(crate) done: bool,
}

impl Pieces {
    /// The answer of an index, begun if it was not.
    pub(crate) fn choice(&mut self, index: u64) -> &mut RawChoice {
        self.choices.entry(index).or_insert_with(|| RawChoice { index, ..RawChoice::default() })
    }

    /// The whole reply, or what is missing. An end without the server's end mark is only good if all `n`
    /// answers had ended before, or if there will be none.
    pub(crate) fn finish(self, done: bool, n: u32) -> Result<RawReply, String> {
        let open = self.choices.values().filter(|choice| choice.finish_reason.is_none()).count();
        let ended = self.choices.len() - open;
        if open > 0 {
            return Err(format!(
                "the stream ended within an answer: {ended} of {} begun had a finish reason",
                self.choices.len()
            ));
        }
        let missing = u64::try_from(ended).is_ok_and(|ended| ended < u64::from(n));
        if !done && missing && self.refused.is_none() {
            return Err(format!("the stream broke off after {ended} of {n} answers"));
        }
        Ok(self.into_reply())
    }

    /// The pieces as a reply, whole or not.
    pub(crate) fn into_reply(self) -> RawReply {
        RawReply {
            choices: self.choices.into_values().collect(),
            usage: self.usage,
            model: self.model,
            refused: self.refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(index: u64, text: Option<&str>, reason: Option<&str>) -> RawChoice {
        let (text, finish_reason) = (text.map(Into::into), reason.map(Into::into));
        RawChoice { index, text, finish_reason, logprobs: Vec::new() }
    }

    fn read(choices: Vec<RawChoice>, n: u32) -> Result<Response, NoAnswer> {
        RawReply { choices, ..RawReply::default() }.into_response(n)
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
        let usage = Usage { prompt_tokens: 7, completion_tokens: 1, cached_tokens: 0 };
        let none = |choices, refused: Option<&str>| {
            let refused = refused.map(Into::into);
            let reply = RawReply { choices, refused, usage, ..RawReply::default() };
            let none = reply.into_response(2).unwrap_err();
            assert_eq!(none.usage, usage);
            (none.what, none.refused)
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
            assert_eq!(none(choices, prompt), (what.to_owned(), refused));
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
