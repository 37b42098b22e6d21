//! Counts of requests, failures and tokens, by purpose.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use textgrad_core::{Engine, EngineError, Purpose, Request, Response, Usage};

use super::Layer;

/// Counts the calls of engines; see [`EngineExt::metered`](super::EngineExt::metered). Cheap to clone: clones count
/// together, and one is kept to read them.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::layer::EngineExt;
/// use textgrad_ops::layer::Meter;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let meter = Meter::default();
/// let engine = engine_fn("yes", |_| async { Ok(Response::new(vec![Choice::new("yes", FinishReason::Stop)])) })
///     .metered(&meter);
/// engine.complete(&Request::new(Purpose::Sample, [])).await?;
/// assert_eq!(meter.snapshot().purposes[&Purpose::Sample].requests, 1);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<MeterSnapshot>>);

/// What a [`Meter`] counted up to a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MeterSnapshot {
    /// Calls begun.
    pub requests: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls whose caller went away before they ended.
    pub abandoned: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// The most calls that were under way at a time.
    pub max_in_flight: u64,
    /// Tokens of all calls, including failed ones whose servers reported usage.
    pub usage: Usage,
    /// The same by purpose, for purposes that occurred.
    pub purposes: BTreeMap<Purpose, PurposeCount>,
}

/// Counts of the calls of one purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PurposeCount {
    /// Calls begun.
    pub requests: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Choices returned.
    pub choices: u64,
    /// Prompt and completion tokens.
    pub usage: Usage,
}

impl Meter {
    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> MeterSnapshot {
        self.0.lock().clone()
    }

    fn begin(&self, purpose: Purpose) -> Call<'_> {
        let mut counts = self.0.lock();
        counts.requests += 1;
        counts.in_flight += 1;
        counts.max_in_flight = counts.max_in_flight.max(counts.in_flight);
        counts.purposes.entry(purpose).or_default().requests += 1;
        Call { meter: self, purpose, ended: false }
    }
}

impl Layer for Meter {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let call = self.begin(request.purpose);
        let result = engine.complete(request).await;
        call.end(&result);
        result
    }
}

/// A call under way; it ends also when it is dropped.
#[derive(Debug)]
struct Call<'a> {
    meter: &'a Meter,
    purpose: Purpose,
    ended: bool,
}

impl Call<'_> {
    fn end(mut self, result: &Result<Response, EngineError>) {
        self.ended = true;
        let mut counts = self.meter.0.lock();
        let purpose = counts.purposes.entry(self.purpose).or_default();
        match result {
            Ok(response) => {
                purpose.choices += response.choices.len() as u64;
                purpose.usage += response.usage;
                counts.usage += response.usage;
            }
            Err(error) => {
                purpose.errors += 1;
                purpose.usage += error.usage();
                counts.usage += error.usage();
                counts.errors += 1;
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut counts = self.meter.0.lock();
        counts.in_flight = counts.in_flight.saturating_sub(1);
        counts.abandoned += u64::from(!self.ended);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use textgrad_core::{Choice, ErrorKind, FinishReason, Message, engine_fn};
    use tokio::time::timeout;

    use super::*;
    use crate::layer::Layered;

    fn request(purpose: Purpose, text: &str) -> Request {
        Request::new(purpose, [Message::user(text)])
    }

    #[tokio::test(start_paused = true)]
    async fn calls_errors_tokens_and_flights_are_counted() {
        let engine = engine_fn("e", |request: Request| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if request.messages[0].text() == "fail" {
                return Err(EngineError::new(ErrorKind::Server, "no"));
            }
            let usage = Usage {
                prompt_tokens: 10,
                completion_tokens: 3,
                cached_tokens: 4,
                ..Usage::default()
            };
            let choice = Choice::new("x", FinishReason::Stop);
            Ok(Response::new(vec![choice.clone(), choice]).with_usage(usage))
        });
        let meter = Meter::default();
        let engine = Layered::new(engine, meter.clone());
        let requests = [
            request(Purpose::Sample, "a"),
            request(Purpose::Sample, "fail"),
            request(Purpose::Gradient, "b"),
        ];
        let all = join_all(requests.iter().map(|request| engine.complete(request)));
        let watch = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            meter.snapshot().in_flight
        };
        let (results, during) = tokio::join!(all, watch);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
        assert_eq!(during, 3);

        let dropped = timeout(Duration::from_millis(1), engine.complete(&requests[0])).await;
        assert!(dropped.is_err());

        let json = serde_json::to_value(meter.snapshot()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "requests": 4, "errors": 1, "abandoned": 1, "in_flight": 0, "max_in_flight": 3,
                "usage": {"prompt_tokens": 20, "completion_tokens": 6, "cached_tokens": 8},
                "purposes": {
                    "sample": {"requests": 3, "errors": 1, "choices": 2, "usage": {"prompt_tokens": 10, "completion_tokens": 3, "cached_tokens": 4}},
                    "gradient": {"requests": 1, "errors": 0, "choices": 2, "usage": {"prompt_tokens": 10, "completion_tokens": 3, "cached_tokens": 4}},
                },
            })
        );
    }
}
