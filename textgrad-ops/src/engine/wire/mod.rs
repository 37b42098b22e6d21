//! Parts that all wire formats share: checks of requests, one exchange over HTTP, turns of a conversation, and the
//! conversion of replies into responses.

mod reply;
mod turns;

use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind, Response, Sampling};

pub(super) use self::reply::{Pieces, RawChoice, RawReply};
pub(super) use self::turns::{Conversation, Turn};
use crate::engine::http::{Event, Events, JsonClient, Reply};

/// How a server writes its answers.
pub(super) trait Dialect {
    /// What a whole reply is, in words.
    const REPLY: &'static str;
    /// Whether streams have an end mark. Without one, a stream that ends after the last answer that it began
    /// is whole, even with fewer choices than requested.
    const END_MARK: bool;

    /// Reads a whole reply; `None` if it is none.
    fn whole(value: &Value) -> Option<RawReply>;

    /// Adds an event of a stream to the earlier ones.
    fn event(value: &Value, pieces: &mut Pieces);
}

/// Posts `body` and reads at most `n` answers.
pub(super) async fn exchange<D: Dialect>(
    client: &JsonClient,
    path: &str,
    body: &Value,
    stream: bool,
    n: u32,
) -> Result<Response, EngineError> {
    let reply = if stream {
        client.post_stream(path, body).await?
    } else {
        client.post_whole(path, body).await?
    };
    let (raw, report) = match reply {
        Reply::Whole(value, report) => {
            let raw = D::whole(&value).ok_or_else(|| {
                let what = report.quote(value.to_string().as_bytes());
                report.error(ErrorKind::BadResponse, format!("expected {}, got `{what}`", D::REPLY))
            })?;
            (raw, report)
        }
        Reply::Events(events) => {
            let report = events.report().clone();
            (collect::<D>(events, n).await?, report)
        }
    };
    raw.into_response(n).map_err(|none| {
        let what = format!("expected an answer, but {}", none.what);
        let error = report.error(ErrorKind::BadResponse, what).with_usage(none.usage);
        // A refusal for the content repeats.
        if none.refused { error.with_retryable(false) } else { error }
    })
}

/// Reads a stream to its end.
///
/// # Errors
/// An error event; a broken connection; a stream that ends before all of its answers have.
async fn collect<D: Dialect>(mut events: Box<Events>, n: u32) -> Result<RawReply, EngineError> {
    let mut pieces = Pieces::default();
    loop {
        let event = events.next().await.map_err(|error| error.with_usage(pieces.usage))?;
        let done = match event {
            Event::Json(value) => {
                D::event(&value, &mut pieces);
                if !pieces.done {
                    continue;
                }
                true
            }
            Event::Done => true,
            Event::End => false,
        };
        let usage = pieces.usage;
        return pieces.finish(done, if D::END_MARK { n } else { 1 }).map_err(|what| {
            let kind = if done { ErrorKind::BadResponse } else { ErrorKind::Connection };
            events.report().error(kind, what).with_usage(usage)
        });
    }
}

/// The name of a model without the white space around it.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if nothing is left.
pub(super) fn named(model: &str) -> Result<String, EngineError> {
    match model.trim() {
        "" => Err(EngineError::new(
            ErrorKind::InvalidRequest,
            "expected the name of a model, got an empty one",
        )),
        model => Ok(model.to_owned()),
    }
}

/// The settings of a sampling that are real numbers, by name.
pub(super) fn numbers(sampling: &Sampling) -> [(&'static str, Option<f64>); 4] {
    [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ]
}

/// Refuses logprobs, for servers that do not tell them, or tell them in a way that is not read.
pub(super) fn without_logprobs(sampling: &Sampling) -> Result<(), EngineError> {
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
pub(super) fn check(sampling: &Sampling, own: &[(&str, &str)]) -> Result<(), EngineError> {
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
