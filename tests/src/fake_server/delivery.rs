//! Delivery of an answer: at once, in pieces, truncated, or not at all.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::call::Flight;
use super::error::json_response;
use super::fault::Fault;
use super::wire;

/// Pieces that a slow body is sent in.
const SLOW_PIECES: usize = 16;

/// Marks a response instead of which the connection is to be reset; the error that makes it so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is reset on purpose")
    }
}

impl std::error::Error for Reset {}

impl IntoResponse for Reset {
    fn into_response(self) -> Response {
        let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The error that ends a body before its end, and the connection with it.
#[derive(Debug)]
struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is cut off on purpose")
    }
}

impl std::error::Error for CutOff {}

/// A body in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    content_type: &'static str,
    /// `content-length`, for what is not a stream.
    length: Option<usize>,
    pieces: Vec<Bytes>,
    pause: Duration,
    /// Whether the connection breaks after the last piece.
    cut: bool,
}

/// An answer on its way out.
#[derive(Debug)]
pub(super) enum Delivery {
    Whole(Response),
    Pieces(Pieces),
    Reset,
}

impl Delivery {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(response) => response.status(),
            _ => StatusCode::OK,
        }
    }

    pub(super) fn into_response(self, flight: Flight) -> Response {
        match self {
            Self::Whole(response) => {
                flight.land();
                response
            }
            Self::Reset => Reset.into_response(),
            Self::Pieces(pieces) => pieces.into_response(flight),
        }
    }

    /// A JSON body, spoiled by a fault of delivery; whether it was.
    pub(super) fn json(body: String, fault: Option<&Fault>) -> (Self, bool) {
        let in_pieces = |pieces, pause, cut| {
            Self::Pieces(Pieces {
                content_type: "application/json",
                length: Some(body.len()),
                pieces,
                pause,
                cut,
            })
        };
        match fault {
            Some(Fault::NotJson) => {
                (Self::Whole(json_response(StatusCode::OK, "all is well".to_owned())), true)
            }
            Some(Fault::CutOffBody) => {
                let half = Bytes::copy_from_slice(body.as_bytes()).split_to(body.len() / 2);
                (in_pieces(vec![half], Duration::ZERO, true), true)
            }
            Some(Fault::SlowBody(time)) => {
                let (pieces, pause) = spread(body.as_bytes(), *time);
                (in_pieces(pieces, pause, false), true)
            }
            _ => (Self::Whole(json_response(StatusCode::OK, body)), false),
        }
    }

    /// A stream of these events and `[DONE]`, spoiled by a fault of delivery; whether it was.
    pub(super) fn events(mut events: Vec<String>, fault: Option<&Fault>) -> (Self, bool) {
        let done = wire::event("[DONE]");
        let half = events.len().div_ceil(2);
        let mut pause = Duration::ZERO;
        let mut slow = None;
        let mut spoiled = true;
        match fault {
            Some(Fault::NotJson) => events = vec![wire::event("all is well"), done],
            Some(Fault::CutOffBody) => events.truncate(half),
            Some(Fault::StreamError) => {
                events.truncate(half);
                let error = super::error::ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The engine failed in the middle of the answer",
                );
                events.extend([wire::error_event(&error), done]);
            }
            Some(Fault::SlowBody(time)) => {
                events.push(done);
                slow = Some(*time);
            }
            _ => {
                events.push(done);
                spoiled = false;
            }
        }
        let pieces = match slow {
            Some(time) => {
                let (pieces, each) = spread(events.concat().as_bytes(), time);
                pause = each;
                pieces
            }
            None => events.into_iter().map(Bytes::from).collect(),
        };
        let pieces = Pieces {
            content_type: "text/event-stream; charset=utf-8",
            length: None,
            pieces,
            pause,
            cut: false,
        };
        (Self::Pieces(pieces), spoiled)
    }
}

/// A body in pieces that end anywhere, and the pause between two of them.
fn spread(body: &[u8], time: Duration) -> (Vec<Bytes>, Duration) {
    let size = body.len().div_ceil(SLOW_PIECES).max(1);
    let pieces: Vec<Bytes> = body.chunks(size).map(Bytes::copy_from_slice).collect();
    let pauses = u32::try_from(pieces.len().saturating_sub(1)).unwrap_or(u32::MAX);
    (pieces, time / pauses.max(1))
}

/// A body being sent.
struct Sending {
    pieces: std::vec::IntoIter<Bytes>,
    pause: Duration,
    begun: bool,
    cut: bool,
    flight: Option<Flight>,
}

impl Sending {
    async fn next(mut self) -> Option<(Result<Bytes, CutOff>, Self)> {
        if std::mem::replace(&mut self.begun, true) && !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        match self.pieces.next() {
            Some(piece) => {
                // Before the last piece goes out, so that a client that has it finds it in the figures.
                if self.pieces.as_slice().is_empty()
                    && let Some(flight) = self.flight.take()
                {
                    flight.land();
                }
                Some((Ok(piece), self))
            }
            None if std::mem::replace(&mut self.cut, false) => {
                // What was sent so far is flushed only when the body has nothing more to give for now.
                tokio::task::yield_now().await;
                Some((Err(CutOff), self))
            }
            None => None,
        }
    }
}

impl Pieces {
    fn into_response(self, flight: Flight) -> Response {
        let sending = Sending {
            pieces: self.pieces.into_iter(),
            pause: self.pause,
            begun: false,
            cut: self.cut,
            flight: Some(flight),
        };
        let body = Body::from_stream(stream::unfold(sending, Sending::next));
        let mut response = ([(header::CONTENT_TYPE, self.content_type)], body).into_response();
        if let Some(length) = self.length {
            let length = HeaderValue::from(length);
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        response
    }
}
