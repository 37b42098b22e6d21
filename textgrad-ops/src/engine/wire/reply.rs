//! Replies of servers, before they are a response.

use std::collections::BTreeMap;

use textgrad_core::{Choice, EngineError, ErrorKind, FinishReason, Response, TokenLogprob, Usage};

use crate::engine::http::join_halves;
use crate::llm;
use crate::util::reasoning::{Separated, separate};

/// One choice as received: it may have no text. Finish reasons have OpenAI's names where they have one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawChoice {
    pub(crate) text: Option<String>,
    pub(crate) reasoning: String,
    /// Words with which the model or its provider declined to answer.
    pub(crate) refusal: Option<String>,
    /// The error of this choice alone.
    pub(crate) error: Option<(ErrorKind, String)>,
    pub(crate) finish_reason: Option<String>,
    pub(crate) logprobs: Vec<TokenLogprob>,
    /// Whether more was received after its end: a stream of several answers under one index.
    pub(crate) is_mixed: bool,
}

impl RawChoice {
    /// Adds a piece of the text.
    pub(crate) fn push(&mut self, piece: &str) {
        self.is_mixed |= self.finish_reason.is_some() && !piece.is_empty();
        self.text.get_or_insert_default().push_str(piece);
    }

    /// Ends the choice. An empty reason is no end.
    pub(crate) fn finish(&mut self, reason: &str) {
        if !reason.is_empty() {
            self.is_mixed |= self.finish_reason.is_some();
            self.finish_reason = Some(reason.to_owned());
        }
    }

    /// The answer, or why there is none.
    fn into_choice(self, inline_reasoning: bool) -> Result<Choice, NoAnswer> {
        let text = join_halves(self.text.unwrap_or_default());
        let separated = if inline_reasoning {
            Separated { answer: &text, ..Separated::default() }
        } else {
            separate(&text)
        };
        let reason = FinishReason::from(self.finish_reason.unwrap_or_default());
        let thoughts = [Some(join_halves(self.reasoning)), separated.reasoning];
        let thoughts: Vec<String> =
            thoughts.into_iter().flatten().filter(|thought| !thought.trim().is_empty()).collect();
        let answer = separated.answer;
        if let Some((kind, words)) = self.error {
            return Err(NoAnswer::Failed(kind, words));
        }
        if let FinishReason::Other(reason) = &reason
            && !separated.is_open
            && ["abort", "error"].iter().any(|name| reason.eq_ignore_ascii_case(name))
        {
            return Err(NoAnswer::Failed(ErrorKind::Server, format!("finish reason {reason}")));
        }
        if answer.trim().is_empty() {
            return Err(match (self.refusal, reason) {
                (Some(words), _) => NoAnswer::Refused(words),
                (None, FinishReason::ContentFilter) => {
                    NoAnswer::Refused("content_filter".to_owned())
                }
                (None, FinishReason::Length) => {
                    NoAnswer::Truncated { reasoned: !thoughts.is_empty() }
                }
                (None, reason) if separated.is_open => NoAnswer::OpenReasoning(reason),
                (None, reason) => NoAnswer::Empty(reason),
            });
        }
        // Tokens of what stood before the answer are none of its tokens.
        let before = text.len() - answer.len();
        let answer = if before == 0 { text } else { answer.to_owned() };
        let mut length = 0;
        let logprobs = self.logprobs.into_iter().skip_while(|token| {
            length += token.token.len();
            length <= before
        });
        let choice = Choice::new(answer, reason).with_logprobs(logprobs.collect::<Vec<_>>());
        Ok(if thoughts.is_empty() { choice } else { choice.with_reasoning(thoughts.join("\n\n")) })
    }
}

/// Why a choice is no answer.
#[derive(Debug, Clone, PartialEq)]
enum NoAnswer {
    Refused(String),
    Failed(ErrorKind, String),
    Truncated {
        reasoned: bool,
    },
    /// The reasoning has no end, and the bound on tokens is not the reason.
    OpenReasoning(FinishReason),
    Empty(FinishReason),
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

    /// The answers in the order of their index, at most `n` of them. Blank texts are no answers.
    ///
    /// # Errors
    /// With the usage, if no choice is an answer: [`ErrorKind::Refused`] in the words of the provider;
    /// the error of a choice; [`ErrorKind::NoAnswer`], which is final where the bound on the tokens was the reason;
    /// [`ErrorKind::BadResponse`] if there are no choices; [`ErrorKind::Unsupported`] if a stream mixes several
    /// answers.
    pub(crate) fn into_response(
        self,
        n: u32,
        inline_reasoning: bool,
    ) -> Result<Response, EngineError> {
        let usage = self.usage;
        if n > 1 && self.choices.values().any(|choice| choice.is_mixed) {
            let what = "the server streams several answers under one index; ask for one at a time";
            return Err(EngineError::new(ErrorKind::Unsupported, what).with_usage(usage));
        }
        let most = usize::try_from(n).unwrap_or(usize::MAX);
        let mut choices = Vec::new();
        let mut missing = Vec::new();
        for choice in self.choices.into_values().take(most) {
            match choice.into_choice(inline_reasoning) {
                Ok(choice) => choices.push(choice),
                Err(why) => missing.push(why),
            }
        }
        if choices.is_empty() {
            return Err(no_answer(self.refused, &missing, usage).with_usage(usage));
        }
        Ok(Response::new(choices).with_usage(usage).with_model(self.model))
    }
}

/// The error of a reply without an answer.
fn no_answer(refused: Option<String>, missing: &[NoAnswer], usage: Usage) -> EngineError {
    if let Some(why) = refused {
        return EngineError::new(ErrorKind::Refused, format!("the prompt was refused: {why}"));
    }
    if let Some(NoAnswer::Failed(kind, words)) =
        missing.iter().find(|why| matches!(why, NoAnswer::Failed(..)))
    {
        let what = format!("the server ended the answer with an error: {words}");
        return EngineError::new(*kind, what);
    }
    let reasons: Vec<&str> = missing.iter().map(NoAnswer::reason).collect();
    let (refusal, reasoned) = match missing.first() {
        Some(NoAnswer::Refused(words)) => (words.as_str(), false),
        Some(NoAnswer::Truncated { reasoned }) => ("", *reasoned),
        _ => ("", false),
    };
    let is_open = |ended: bool| {
        let is_open = |why: &NoAnswer| matches!(why, NoAnswer::OpenReasoning(reason) if reason.is_end() == ended);
        missing.iter().any(is_open)
    };
    let within = match (is_open(false), is_open(true)) {
        (true, _) => "; the reply broke off within its reasoning",
        (false, true) => "; the reply ended within its reasoning",
        (false, false) => "",
    };
    llm::no_answer(&reasons, refusal, usage, reasoned, within)
}

impl NoAnswer {
    fn reason(&self) -> &str {
        match self {
            Self::Refused(_) => "content_filter",
            Self::Failed(..) => "error",
            Self::Truncated { .. } => "length",
            Self::Empty(reason) | Self::OpenReasoning(reason) => reason.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(text: &str, reason: &str) -> RawChoice {
        let text = Some(text.to_owned()).filter(|text| !text.is_empty());
        RawChoice { text, finish_reason: Some(reason.to_owned()), ..RawChoice::default() }
    }

    fn reply(choices: impl IntoIterator<Item = RawChoice>) -> RawReply {
        RawReply { choices: (0..).zip(choices).collect(), ..RawReply::default() }
    }

    /// Kind: Finish reasons | a choice with an error, or with the finish reason `error` or `abort` | no answer; the
    /// others are kept
    /// Kind: Empty, truncated, refused | a blank text | no answer
    #[test]
    fn choices_that_are_no_answers_are_dropped() {
        let missing = RawChoice { text: Some("kept".into()), ..RawChoice::default() };
        let failed =
            RawChoice { error: Some((ErrorKind::Server, "x".into())), ..choice("half", "error") };
        let choices =
            [choice("", "stop"), choice("draft", "abort"), missing, choice(" \n", "stop"), failed];
        let response = reply(choices).into_response(5, false).unwrap();
        assert_eq!(response.choices, [Choice::new("kept", FinishReason::Other(String::new()))]);
    }

    /// Kind: Reasoning | reasoning in a field, in typed parts or between marks | kept apart from the text, in logs only
    #[test]
    fn reasoning_is_apart_from_the_text() {
        let mut apart = choice("<think>a</think>\n\nfour", "end_turn");
        apart.reasoning = "before".to_owned();
        apart.logprobs = ["<think>a", "</think>\n\n", "four"]
            .map(|token| TokenLogprob { token: token.into(), logprob: -1.0, top: vec![] })
            .into();
        let response = reply([apart.clone()]).into_response(1, false).unwrap();
        let only = &response.choices[0];
        assert_eq!((only.text.as_str(), &only.finish_reason), ("four", &FinishReason::Stop));
        assert_eq!(only.reasoning.as_deref(), Some("before\n\na"));
        assert_eq!(only.logprobs.len(), 1);
        let inline = reply([apart]).into_response(1, true).unwrap();
        assert_eq!(inline.choices[0].text, "<think>a</think>\n\nfour");
        assert_eq!(inline.choices[0].logprobs.len(), 3);
    }

    /// Kind: Reasoning | reasoning without an end, and any finish reason but `length` | no answer; the error says that
    /// the reply broke off or ended within its reasoning
    /// Kind: Empty, truncated, refused | all tokens went into reasoning | final; the error names the setting
    /// Kind: Empty, truncated, refused | a refusal, a safety stop or a blocked prompt | final, in the
    /// words of the provider
    #[test]
    fn a_reply_without_an_answer_says_why() {
        let usage = Usage { completion_tokens: 9, ..Usage::default() };
        let refused = RawChoice { refusal: Some("I cannot.".into()), ..choice("", "stop") };
        let failed = RawChoice {
            error: Some((ErrorKind::RateLimited, "slow".into())),
            ..choice("a", "error")
        };
        let reasoned = RawChoice { reasoning: "hm".into(), ..choice("", "length") };
        for (choices, kind, is_final, what) in [
            (vec![], ErrorKind::BadResponse, false, "no choices"),
            (
                vec![choice("", "length"), choice("", "stop")],
                ErrorKind::NoAnswer,
                false,
                "(finish reasons: length, stop)",
            ),
            (
                vec![choice("", "max_tokens")],
                ErrorKind::NoAnswer,
                true,
                "bound on tokens was reached after 9",
            ),
            (
                vec![reasoned.clone(), reasoned],
                ErrorKind::NoAnswer,
                true,
                "all 9 completion tokens went into reasoning",
            ),
            (
                vec![choice("<think>draft <a>", "length")],
                ErrorKind::NoAnswer,
                true,
                "went into reasoning",
            ),
            (
                vec![choice("<think>draft <a>", "eos")],
                ErrorKind::NoAnswer,
                false,
                "(finish reasons: stop); the reply ended within its reasoning",
            ),
            (
                vec![choice("[THINK]draft", ""), choice("<thought>draft", "aborted")],
                ErrorKind::NoAnswer,
                false,
                "(finish reasons: none, aborted); the reply broke off within its reasoning",
            ),
            (
                vec![choice("<think>draft", "error"), choice("<think>draft", "abort")],
                ErrorKind::NoAnswer,
                false,
                "the reply broke off within its reasoning",
            ),
            (
                vec![refused, choice("", "content_filter")],
                ErrorKind::Refused,
                true,
                "refused to answer: I cannot.",
            ),
            (vec![choice("half", "ERROR")], ErrorKind::Server, false, "finish reason ERROR"),
            (vec![choice("", "stop"), failed], ErrorKind::RateLimited, false, "slow"),
            (vec![choice("", "stop"); 9], ErrorKind::NoAnswer, false, "stop, stop, .."),
        ] {
            let reply = RawReply { usage, ..reply(choices) };
            let error = reply.into_response(9, false).unwrap_err();
            assert!(error.message().contains(what), "{error}");
            assert_eq!((error.kind(), error.is_retryable()), (kind, !is_final), "{what}");
            assert_eq!(error.usage(), usage);
        }
        let blocked = RawReply { refused: Some("SAFETY".into()), ..RawReply::default() };
        let error = blocked.into_response(1, false).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Refused, "the prompt was refused: SAFETY")
        );
    }

    /// Kind: Streams | several answers under one index | asked for one by one from then on
    #[test]
    fn several_answers_under_one_index_are_no_answer() {
        let mut mixed = choice("a", "stop");
        mixed.push("b");
        assert_eq!(reply([mixed.clone()]).into_response(1, false).unwrap().choices.len(), 1);
        let error = reply([mixed]).into_response(2, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn more_choices_than_asked_for_are_cut() {
        let many = (0..5).map(|index| choice(&index.to_string(), "stop"));
        let response = reply(many).into_response(2, false).unwrap();
        let texts: Vec<&str> = response.choices.iter().map(|choice| choice.text.as_str()).collect();
        assert_eq!(texts, ["0", "1"]);
    }
}
