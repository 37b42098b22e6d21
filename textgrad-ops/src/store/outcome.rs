//! The outcome of a call as JSON, in recordings and run logs.

use serde::{Deserialize, Serialize};
use textgrad_core::{EngineError, Response};

/// A response or an error.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Result<Response, EngineError>")]
pub(super) enum CallOutcome {
    #[serde(rename = "response")]
    Ok(Response),
    #[serde(rename = "error")]
    Err(EngineError),
}

/// A duration in milliseconds.
pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        // Microseconds are more than any clock of a network call is good for.
        ((time.as_secs_f64() * 1e6).round() / 1e3).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let ms = f64::deserialize(from)?;
        Ok(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
    }
}
