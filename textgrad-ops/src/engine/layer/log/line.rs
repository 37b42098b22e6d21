//! The lines of a run log.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{EngineError, Request, Response};

use super::super::lines::Outcome;

/// Goes up when an older reader would misread a line. Each line says it, since a log may be continued by a
/// later version.
pub(super) const VERSION: u32 = 1;

/// How lines of this version begin, which tells what is left of one from something else.
const BEGINNINGS: [&[u8]; 2] =
    [br#"{"version":1,"type":"call","time":"#, br#"{"version":1,"type":"graph","time":"#];

/// More of a line than this is not needed to tell.
pub(super) const LONGEST_BEGINNING: u64 = 64;

/// Whether some bytes, of which there may be none, are the beginning of a line.
pub(super) fn begins_a_line(bytes: &[u8]) -> bool {
    BEGINNINGS.iter().any(|known| known.iter().zip(bytes).all(|(known, byte)| known == byte))
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    version: u32,
    #[serde(flatten)]
    pub(super) entry: Entry,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Entry {
    Call(Box<CallLine>),
    Graph { time: u64, name: String, graph: Json },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CallLine {
    pub(super) time: u64,
    pub(super) ms: f64,
    pub(super) engine: String,
    pub(super) is_simulation: bool,
    pub(super) request: Request,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

impl Line {
    pub(super) fn call(
        time: u64,
        took: Duration,
        (engine, is_simulation): (&str, bool),
        request: &Request,
        result: &Result<Response, EngineError>,
    ) -> Self {
        // Microseconds are more than any clock of a network call is good for.
        let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        let (engine, request) = (engine.to_owned(), request.clone());
        let outcome = result.into();
        let call = CallLine { time, ms, engine, is_simulation, request, outcome };
        let entry = Entry::Call(Box::new(call));
        Self { version: VERSION, entry }
    }

    #[cfg(feature = "page")]
    pub(super) fn graph(time: u64, name: String, graph: Json) -> Self {
        Self { version: VERSION, entry: Entry::Graph { time, name, graph } }
    }
}
