//! A time limit for each attempt.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response};

/// An engine that gives each attempt a bounded time; see [`EngineExt::timeout`](super::EngineExt::timeout).
#[derive(Debug, Clone)]
pub struct Timeout<E> {
    engine: E,
    limit: Duration,
}

impl<E> Timeout<E> {
    pub(super) fn new(engine: E, limit: Duration) -> Self {
        Self { engine, limit }
    }

    /// The inner engine.
    pub fn get_ref(&self) -> &E {
        &self.engine
    }

    /// The inner engine, by value.
    pub fn into_inner(self) -> E {
        self.engine
    }
}

#[async_trait]
impl<E: Engine> Engine for Timeout<E> {
    fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        within(self.limit, self.name(), self.engine.complete(request)).await
    }
}

/// Bounds the time of one attempt.
pub(super) async fn within<T>(
    limit: Duration,
    name: &str,
    call: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        Err(EngineError::new(
            ErrorKind::Timeout,
            format!(
                "expected an answer of {name} within {limit:?}, got none; allow more time or ask for shorter answers"
            ),
        ))
    })
}

#[cfg(test)]
mod tests {
    use textgrad_core::{Choice, FinishReason, Message, Purpose, engine_fn};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_if_it_comes_in_time() {
        let slow = engine_fn("slow", |request: Request| async move {
            let seconds = request.messages[0].text().parse().unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(Response::new(vec![Choice::new("done", FinishReason::Stop)]))
        });
        let engine = Timeout::new(slow, Duration::from_secs(10));
        let ask = |seconds: &str| Request::new(Purpose::Sample, [Message::user(seconds)]);
        assert!(engine.complete(&ask("9")).await.is_ok());

        let start = Instant::now();
        let error = engine.complete(&ask("11")).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.is_retryable());
        assert!(error.to_string().contains("of slow within 10s"), "{error}");
    }
}
