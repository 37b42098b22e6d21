//! The faults, their names and their arguments.

use std::time::Duration;

use super::rule::On;

/// The longest that a fault or the latency can hold an answer back.
pub const MAX_DELAY: Duration = Duration::from_secs(600);

/// How a 429 says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// `retry-after-ms`, in whole milliseconds.
    Millis(Duration),
    /// `retry-after` in seconds, with a fraction where there is one.
    Seconds(Duration),
    /// `retry-after` as an HTTP date, which is rounded up to a whole second.
    Date(Duration),
    /// Not at all.
    Absent,
}

/// Something that goes wrong with an answer.
///
/// A fault that has nothing to work on (tags in an answer without tags, a stream's error in an answer that is
/// not streamed) leaves the answer whole and does not count as fired.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// `429-ms=MS`, `429-seconds=S`, `429-date=S`, `429-plain`: too many requests.
    RateLimit(RetryAfter),
    /// `429-quota`: the account has no credit left; to ask again is no use.
    Quota,
    /// `500`: the server failed.
    ServerError,
    /// `503`: the server is not ready.
    Unavailable,
    /// `401`: the key is refused.
    Unauthorized,
    /// `400`: the request is refused.
    BadRequest,
    /// `413`: a request whose text is too long for the model.
    TooLong,
    /// `reply=STATUS`: an error of this status. A rule that is built may have any body; one that is JSON is sent as
    /// such.
    Reply(u16, String),
    /// `html`: an HTML page with status 200.
    Html,
    /// `html-502`: an HTML page with status 502, as proxies write it.
    BadGateway,
    /// `not-json`: status 200 and a body (in a stream: a data line) that is not JSON.
    NotJson,
    /// `cut-off-body`: the connection closes before `content-length` bytes were sent; a stream ends after
    /// half of its events, in order, without the end of its longest choice and without `[DONE]`.
    CutOffBody,
    /// `slow-body=MS`: the body comes in small pieces spread over this time. The pieces end anywhere, also
    /// inside of characters.
    SlowBody(Duration),
    /// `reset`: the connection is reset before any byte of an answer.
    Reset,
    /// `stall=MS`: the answer comes only after this time, [`MAX_DELAY`] at most.
    Stall(Duration),
    /// `stream-error`: an error object in the middle of a stream.
    StreamError,
    /// `empty-choices`: an answer without any choice.
    EmptyChoices,
    /// `fewer-choices=K`: only the first K choices.
    FewerChoices(usize),
    /// `null-content`: choices whose content is null (in a stream: that never have any).
    NullContent,
    /// `open-reasoning=REASON`: texts within reasoning that has no end, with this finish reason, or none at all
    /// for `none`.
    OpenReasoning(String),
    /// `length`: texts cut in half, with finish reason `length`.
    Length,
    /// `missing-tags`: texts without the `<TAG>` and `</TAG>` around them: lines that are only a tag are
    /// removed, and a pair that holds the whole text.
    MissingTags,
    /// `missing-close-tag`: texts without their last `</TAG>`.
    MissingCloseTag,
    /// `tags-inside`: texts that speak of `<TAG>` and `</TAG>` in the middle of what these enclose.
    TagsInside,
    /// `nan-score`: scores written as `NaN`, which is Python's JSON and nobody else's.
    NanScore,
    /// `null-score`: scores written as `null`.
    NullScore,
    /// `string-score`: scores written as strings.
    StringScore,
    /// `two-labels`: two probabilities where one score is expected, as of a model with two classes.
    TwoLabels,
    /// `fewer-scores`: the scores without the last one.
    FewerScores,
}

/// A kind of fault as it is written: `name` or `name=ARG`.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// What the argument is, for messages; none where there is no argument.
    pub(super) argument: Option<&'static str>,
    /// Builds the fault from the argument (empty where there is none), if it is one.
    pub(super) build: fn(&str) -> Option<Fault>,
}

const MILLIS: Option<&str> = Some("milliseconds, 600000 at most");
const SECONDS: Option<&str> = Some("seconds, 600 at most");

fn millis(argument: &str) -> Option<Duration> {
    argument.parse().ok().map(Duration::from_millis).filter(|delay| *delay <= MAX_DELAY)
}

fn seconds(argument: &str) -> Option<Duration> {
    let seconds = argument.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|delay| *delay <= MAX_DELAY)
}

const fn plain(name: &'static str, build: fn(&str) -> Option<Fault>) -> Kind {
    Kind { name, argument: None, build }
}

const fn with(
    name: &'static str,
    argument: Option<&'static str>,
    build: fn(&str) -> Option<Fault>,
) -> Kind {
    Kind { name, argument, build }
}

/// All kinds, in the order in which messages list them.
pub(super) const KINDS: &[Kind] = &[
    with("429-ms", MILLIS, |argument| {
        millis(argument).map(|delay| Fault::RateLimit(RetryAfter::Millis(delay)))
    }),
    with("429-seconds", SECONDS, |argument| {
        seconds(argument).map(|delay| Fault::RateLimit(RetryAfter::Seconds(delay)))
    }),
    with("429-date", SECONDS, |argument| {
        seconds(argument).map(|delay| Fault::RateLimit(RetryAfter::Date(delay)))
    }),
    plain("429-plain", |_| Some(Fault::RateLimit(RetryAfter::Absent))),
    plain("429-quota", |_| Some(Fault::Quota)),
    plain("500", |_| Some(Fault::ServerError)),
    plain("503", |_| Some(Fault::Unavailable)),
    plain("401", |_| Some(Fault::Unauthorized)),
    plain("400", |_| Some(Fault::BadRequest)),
    plain("413", |_| Some(Fault::TooLong)),
    with("reply", Some("a status from 200 to 599"), |argument| {
        let status = argument.parse().ok().filter(|status| (200..600).contains(status))?;
        Some(Fault::Reply(status, r#"{"error":{"message":"This is a test"}}"#.to_owned()))
    }),
    plain("html", |_| Some(Fault::Html)),
    plain("html-502", |_| Some(Fault::BadGateway)),
    plain("not-json", |_| Some(Fault::NotJson)),
    plain("cut-off-body", |_| Some(Fault::CutOffBody)),
    with("slow-body", MILLIS, |argument| millis(argument).map(Fault::SlowBody)),
    plain("reset", |_| Some(Fault::Reset)),
    with("stall", MILLIS, |argument| millis(argument).map(Fault::Stall)),
    plain("stream-error", |_| Some(Fault::StreamError)),
    plain("empty-choices", |_| Some(Fault::EmptyChoices)),
    with("fewer-choices", Some("the number of choices left, at least 1"), |argument| {
        argument.parse().ok().filter(|count| *count > 0).map(Fault::FewerChoices)
    }),
    plain("null-content", |_| Some(Fault::NullContent)),
    with("open-reasoning", Some("a finish reason, or none"), |argument| {
        let reason = if argument == "none" { "" } else { argument };
        Some(Fault::OpenReasoning(reason.to_owned()))
    }),
    plain("length", |_| Some(Fault::Length)),
    plain("missing-tags", |_| Some(Fault::MissingTags)),
    plain("missing-close-tag", |_| Some(Fault::MissingCloseTag)),
    plain("tags-inside", |_| Some(Fault::TagsInside)),
    plain("nan-score", |_| Some(Fault::NanScore)),
    plain("null-score", |_| Some(Fault::NullScore)),
    plain("string-score", |_| Some(Fault::StringScore)),
    plain("two-labels", |_| Some(Fault::TwoLabels)),
    plain("fewer-scores", |_| Some(Fault::FewerScores)),
];

impl Fault {
    /// The name by which it is written and counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RateLimit(RetryAfter::Millis(_)) => "429-ms",
            Self::RateLimit(RetryAfter::Seconds(_)) => "429-seconds",
            Self::RateLimit(RetryAfter::Date(_)) => "429-date",
            Self::RateLimit(RetryAfter::Absent) => "429-plain",
            Self::Quota => "429-quota",
            Self::ServerError => "500",
            Self::Unavailable => "503",
            Self::Unauthorized => "401",
            Self::BadRequest => "400",
            Self::TooLong => "413",
            Self::Reply(..) => "reply",
            Self::Html => "html",
            Self::BadGateway => "html-502",
            Self::NotJson => "not-json",
            Self::CutOffBody => "cut-off-body",
            Self::SlowBody(_) => "slow-body",
            Self::Reset => "reset",
            Self::Stall(_) => "stall",
            Self::StreamError => "stream-error",
            Self::EmptyChoices => "empty-choices",
            Self::FewerChoices(_) => "fewer-choices",
            Self::NullContent => "null-content",
            Self::OpenReasoning(_) => "open-reasoning",
            Self::Length => "length",
            Self::MissingTags => "missing-tags",
            Self::MissingCloseTag => "missing-close-tag",
            Self::TagsInside => "tags-inside",
            Self::NanScore => "nan-score",
            Self::NullScore => "null-score",
            Self::StringScore => "string-score",
            Self::TwoLabels => "two-labels",
            Self::FewerScores => "fewer-scores",
        }
    }

    /// The only route on which it means something; none if it can befall any.
    pub(super) fn only_on(&self) -> Option<On> {
        match self {
            Self::NanScore
            | Self::NullScore
            | Self::StringScore
            | Self::TwoLabels
            | Self::FewerScores => Some(On::Classify),
            Self::StreamError
            | Self::EmptyChoices
            | Self::FewerChoices(_)
            | Self::NullContent
            | Self::OpenReasoning(_)
            | Self::Length
            | Self::MissingTags
            | Self::MissingCloseTag
            | Self::TagsInside => Some(On::Chat),
            _ => None,
        }
    }

    /// Whether the answer is still a whole one, only late.
    pub(crate) fn only_delays(&self) -> bool {
        matches!(self, Self::Stall(_) | Self::SlowBody(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_builds_the_fault_of_its_name() {
        for kind in KINDS {
            let argument = match kind.name {
                "reply" => "424",
                _ if kind.argument.is_some() => "2",
                _ => "",
            };
            let fault = (kind.build)(argument).unwrap();
            assert_eq!(fault.name(), kind.name);
        }
    }
}
