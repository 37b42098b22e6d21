//! Bodies of replies, bounded in size: read whole, or as server-sent events.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind};

use super::failure::{Report, in_band, not_json, succeeded};
use super::json;

/// A body that is read piece by piece, never past its bound.
#[derive(Debug)]
pub(crate) struct Body {
    response: reqwest::Response,
    report: Report,
    /// What was read to see what the body is.
    begun: Option<Bytes>,
    read: usize,
    limit: usize,
    timeout: Duration,
}

impl Body {
    pub(super) fn new(
        response: reqwest::Response,
        report: Report,
        limit: usize,
        timeout: Duration,
    ) -> Self {
        Self { response, report, begun: None, read: 0, limit, timeout }
    }

    /// Makes the errors of this exchange.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// The content type, if it is a text.
    pub(super) fn content_type(&self) -> Option<&str> {
        self.response.headers().get(CONTENT_TYPE)?.to_str().ok()
    }

    /// Whether the body is a stream of events, by its beginning: content types are often wrong. An empty body is what
    /// was asked for.
    pub(crate) async fn is_stream(&mut self, asked: bool) -> Result<bool, EngineError> {
        const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
        let mut begun = Bytes::new();
        let is_stream = loop {
            let text = begun.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&begun).trim_ascii_start();
            let may_be = |field: &[u8]| text.len() < field.len() && field.starts_with(text);
            if FIELDS.iter().any(|field| text.starts_with(field)) {
                break true;
            } else if !FIELDS.iter().any(|field| may_be(field)) {
                break false;
            }
            match self.next().await? {
                Some(chunk) if begun.is_empty() => begun = chunk,
                Some(chunk) => begun = [begun, chunk].concat().into(),
                None => break asked && begun.trim_ascii().is_empty(),
            }
        };
        self.begun = Some(begun);
        Ok(is_stream)
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        if let Some(begun) = self.begun.take().filter(|begun| !begun.is_empty()) {
            return Ok(Some(begun));
        }
        let chunk = self.response.chunk().await;
        let chunk = chunk.map_err(|error| self.report.transport(error, self.timeout))?;
        if let Some(chunk) = &chunk {
            self.read = self.read.saturating_add(chunk.len());
            if self.read > self.limit {
                return Err(self.too_large());
            }
        }
        Ok(chunk)
    }

    /// The whole body as JSON. An error of the server in it is that error.
    pub(crate) async fn json(&mut self) -> Result<Value, EngineError> {
        let announced = self.response.content_length().unwrap_or_default();
        if usize::try_from(announced).map_or(true, |length| length > self.limit) {
            return Err(self.too_large());
        }
        let first = self.next().await?.unwrap_or_default();
        let Some(second) = self.next().await? else { return succeeded(&self.report, &first) };
        let mut body = [first, second].concat();
        while let Some(chunk) = self.next().await? {
            body.extend_from_slice(&chunk);
        }
        succeeded(&self.report, &body)
    }

    fn too_large(&self) -> EngineError {
        let limit = self.limit;
        let what = format!(
            "the reply is larger than {limit} bytes; ask for less, or raise the limit of the client"
        );
        self.report.error(ErrorKind::BadResponse, what).with_retryable(false)
    }
}

/// The JSON events of a reply of type `text/event-stream`.
#[derive(Debug)]
pub(crate) struct Events {
    body: Body,
    decoder: SseDecoder,
    ready: VecDeque<Vec<u8>>,
    ended: bool,
}

/// The next item of a stream.
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
    pub(crate) fn new(body: Body) -> Self {
        Self { body, decoder: SseDecoder::default(), ready: VecDeque::new(), ended: false }
    }

    /// Makes the errors of this exchange.
    pub(crate) fn report(&self) -> &Report {
        self.body.report()
    }

    /// The next event. An event that holds an error is that error.
    pub(crate) async fn next(&mut self) -> Result<Event, EngineError> {
        loop {
            if let Some(data) = self.ready.pop_front() {
                match data.trim_ascii() {
                    b"" => {}
                    b"[DONE]" => return Ok(Event::Done),
                    event => return read(self.report(), event),
                }
            } else if self.ended {
                return Ok(Event::End);
            } else if let Some(chunk) = self.body.next().await? {
                self.ready.extend(self.decoder.feed(&chunk));
            } else {
                self.ended = true;
                self.ready.extend(self.decoder.finish());
            }
        }
    }
}

fn read(report: &Report, event: &[u8]) -> Result<Event, EngineError> {
    let value = json::read_event(event).map_err(|error| not_json(report, event, error))?;
    match in_band(report, &value) {
        Some(error) => Err(error),
        None => Ok(Event::Json(value)),
    }
}

/// Splits a byte stream into the data of its events.
///
/// Works on bytes and hands out bytes: a character or a line end that is split across two chunks is whole
/// again before anyone decodes it.
#[derive(Debug, Default)]
struct SseDecoder {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    after_cr: bool,
    begun: bool,
}

impl SseDecoder {
    /// Takes the next bytes and returns the data of the events they complete.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        for &byte in bytes {
            // `\r\n` is one line end, also when the chunk ends between the two.
            let second_half = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// The data of an event that the end of the stream completes: servers often send no last empty line.
    fn finish(&mut self) -> Option<Vec<u8>> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.data.take()
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let mut line = std::mem::take(&mut self.line);
        if !self.begun {
            self.begun = true;
            if line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
        }
        if line.is_empty() {
            return self.data.take();
        }
        // Comments begin with a colon; `event`, `id` and `retry` mean nothing here.
        let value = match line.strip_prefix(b"data:") {
            Some(value) => value.strip_prefix(b" ").unwrap_or(value),
            None if line == b"data" => &[],
            None => return None,
        };
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<String> {
        let mut decoder = SseDecoder::default();
        let mut events: Vec<Vec<u8>> = Vec::new();
        for chunk in chunks {
            events.extend(decoder.feed(chunk));
        }
        events.extend(decoder.finish());
        events.into_iter().map(|event| String::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn events_end_at_empty_lines_of_any_kind() {
        let expected = ["one", "two"];
        assert_eq!(decode(&[b"data: one\n\ndata: two\n\n"]), expected);
        assert_eq!(decode(&[b"data: one\r\n\r\ndata:two\r\n\r\n"]), expected);
        assert_eq!(decode(&[b"data: one\r\rdata: two\r\r"]), expected);
        assert_eq!(decode(&[b"\xef\xbb\xbfdata: one\n\n\n\ndata: two\n\n"]), expected);
    }

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        assert_eq!(
            decode(&[b": ping\n\nevent: x\nid: 7\ndata: one\n: ping\nretry: 5\n\ndata2: no\n\n"]),
            ["one"]
        );
    }

    #[test]
    fn lines_of_one_event_are_joined() {
        assert_eq!(decode(&[b"data: a\ndata:\ndata\ndata:  b\n\n"]), ["a\n\n\n b"]);
    }

    #[test]
    fn carriage_return_and_line_feed_are_one_line_end() {
        let expected = ["a\nb"];
        assert_eq!(decode(&[b"data: a\r\ndata: b\r\n\r\n"]), expected);
        assert_eq!(decode(&[b"data: a\r", b"\ndata: b\r\n\r\n"]), expected);
    }

    #[test]
    fn any_cut_gives_the_same_events() {
        let stream = ": é\r\n\r\ndata: {\"t\":\"héllo 🦀\"}\r\n\r\ndata: [DONE]\r\n\r\n".as_bytes();
        let whole = decode(&[stream]);
        assert_eq!(whole, ["{\"t\":\"héllo 🦀\"}", "[DONE]"]);
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(decode(&[head, tail]), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(decode(&bytes), whole);
    }

    #[test]
    fn the_end_of_the_stream_completes_the_last_event() {
        assert_eq!(decode(&[b"data: one\n\ndata: [DONE]"]), ["one", "[DONE]"]);
        assert_eq!(decode(&[b"data: [DONE]\n"]), ["[DONE]"]);
        assert_eq!(decode(&[b""]), [""; 0]);
    }
}
