//! Counts what is asked and what it costs.

mod counts;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, Request, Response};

pub use self::counts::{Meter, MeterSnapshot, PurposeCount};

/// An engine that counts its calls with a [`Meter`]; see [`EngineExt::metered`](super::EngineExt::metered).
#[derive(Debug, Clone)]
pub struct Metered<E> {
    engine: E,
    meter: Meter,
}

impl<E> Metered<E> {
    pub(super) fn new(engine: E, meter: Meter) -> Self {
        Self { engine, meter }
    }
}

#[async_trait]
impl<E: Engine> Engine for Metered<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let call = self.meter.begin(request.purpose);
        let result = self.engine.complete(request).await;
        call.end(&result);
        result
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use textgrad_core::{Choice, ErrorKind, FinishReason, Message, Purpose, Usage, engine_fn};
    use tokio::time::timeout;

    use super::*;

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
            let usage = Usage { prompt_tokens: 10, completion_tokens: 3, cached_tokens: 4 };
            let choice = Choice::new("x", FinishReason::Stop);
            Ok(Response::new(vec![choice.clone(), choice]).with_usage(usage))
        });
        let meter = Meter::default();
        let engine = Metered::new(engine, meter.clone());
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
