//! The lines of a recording.

use serde::{Deserialize, Serialize};
use textgrad_core::{EngineError, Request, Response};

use super::super::lines::Outcome;

const FORMAT: &str = "textgrad-recording";
/// Goes up when an older reader would misread the lines.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    format: String,
    version: u32,
    pub(super) engine: String,
    pub(super) is_simulation: bool,
}

impl Header {
    pub(super) fn new(engine: &str, is_simulation: bool) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            engine: engine.to_owned(),
            is_simulation,
        }
    }

    /// What is wrong with the header, if anything is.
    pub(super) fn complaint(&self) -> Option<String> {
        (self.format != FORMAT || self.version != VERSION).then(|| {
            format!(
                "expected a {FORMAT} of version {VERSION}, got a {:?} of version {}",
                self.format, self.version
            )
        })
    }
}

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) request: Request,
    #[serde(flatten)]
    outcome: Outcome,
}

impl Line {
    pub(super) fn new(request: &Request, result: &Result<Response, EngineError>) -> Self {
        Self { request: request.clone(), outcome: result.into() }
    }

    /// What the call came to.
    pub(super) fn result(self) -> Result<Response, EngineError> {
        self.outcome.into()
    }
}
