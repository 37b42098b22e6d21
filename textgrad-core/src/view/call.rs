//! A call of an engine, as a page lists it.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

use super::data::RequestData;
use crate::engine::{EngineError, Request, Response};

/// A call of an engine, for [`Page::calls`](crate::Page::calls).
#[derive(Debug, Clone, Serialize)]
pub struct PageCall {
    engine: String,
    simulation: bool,
    pub(super) request: RequestData,
    #[serde(flatten)]
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Response(Response),
    Error(Json),
}

impl PageCall {
    /// A call: the engine's name, what it was asked, and what it answered.
    pub fn new(
        engine: impl Into<String>,
        request: Request,
        result: Result<Response, EngineError>,
    ) -> Self {
        Self {
            engine: engine.into(),
            simulation: false,
            request: request.into(),
            outcome: match result {
                Ok(response) => Outcome::Response(response),
                Err(error) => Outcome::Error(serde_json::json!({
                    "kind": error.kind().as_str(),
                    "message": error.to_string(),
                    "retryable": error.is_retryable(),
                })),
            },
            time: None,
            ms: None,
        }
    }

    /// When it began, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn began(mut self, unix_ms: u64) -> Self {
        self.time = Some(unix_ms);
        self
    }

    /// How long it took.
    #[must_use]
    pub fn took(mut self, latency: Duration) -> Self {
        self.ms = Some(latency.as_secs_f64() * 1e3);
        self
    }

    /// Whether the answer is simulated; the page says so.
    #[must_use]
    pub fn simulation(mut self, simulation: bool) -> Self {
        self.simulation = simulation;
        self
    }
}
