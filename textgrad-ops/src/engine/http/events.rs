//! A reply that arrives event by event.

use std::collections::VecDeque;

use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind};

use super::body::Body;
use super::failure::in_band;
use super::report::Report;
use super::sse::SseDecoder;

/// The JSON events of a reply of type `text/event-stream`.
#[derive(Debug)]
pub(crate) struct Events {
    body: Body,
    report: Report,
    decoder: SseDecoder,
    ready: VecDeque<Vec<u8>>,
    ended: bool,
}

/// What a stream says next.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// A JSON event.
    Json(Value),
    /// The server's own end mark, `[DONE]`.
    Done,
    /// The end of the body, without an end mark before it.
    End,
}

impl Events {
    pub(super) fn new(body: Body, report: Report) -> Self {
        Self { body, report, decoder: SseDecoder::default(), ready: VecDeque::new(), ended: false }
    }

    /// Makes the errors of this exchange.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// The next event. An event that holds an error is that error.
    pub(crate) async fn next(&mut self) -> Result<Event, EngineError> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                match data.trim_ascii() {
                    b"" => {}
                    b"[DONE]" => return Ok(Event::Done),
                    json => return read(&self.report, json),
                }
            } else if self.ended {
                return Ok(Event::End);
            } else if let Some(chunk) = self.body.next(&self.report).await? {
                self.ready.extend(self.decoder.feed(chunk.as_ref()));
            } else {
                self.ended = true;
                self.ready.extend(self.decoder.finish());
            }
        }
    }
}

fn read(report: &Report, json: &[u8]) -> Result<Event, EngineError> {
    let value = serde_json::from_slice(json).map_err(|error| {
        let what = format!("expected an event of JSON, got `{}`", report.quote(json));
        report.error(ErrorKind::BadResponse, what).with_source(error)
    })?;
    match in_band(report, &value) {
        Some(error) => Err(error),
        None => Ok(Event::Json(value)),
    }
}
