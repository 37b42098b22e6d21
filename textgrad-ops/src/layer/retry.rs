//! Retries of failed requests.

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, Request, Response};

use super::retry_policy::RetryPolicy;
use crate::store::request_key;

/// Retries failed requests with exponential backoff under a [`RetryPolicy`]; see
/// [`EngineExt::retry`](super::EngineExt::retry).
///
/// The jitter of the waits is derived from the request, so a run repeats with the same waits. The last error
/// has the usage of all attempts. A response has its own usage only: what a run records must not depend on which
/// attempts failed. A meter inside this layer counts every attempt.
#[derive(Debug, Clone)]
pub struct Retry<E> {
    engine: E,
    policy: RetryPolicy,
}

impl<E> Retry<E> {
    pub(super) fn new(engine: E, policy: RetryPolicy) -> Self {
        Self { engine, policy }
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
impl<E: Engine> Engine for Retry<E> {
    fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let first = match self.engine.complete(request).await {
            // The key is only worth its hash where a wait is ahead.
            Err(error) if error.is_retryable() => error,
            result => return result,
        };
        let policy = self.policy.clone().seed(request_key(self.name(), request).seed());
        policy.run_after(first, |_| self.engine.complete(request)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use textgrad_core::testing::{Reply, ScriptedEngine};
    use textgrad_core::{ErrorKind, Message, Purpose, Usage};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_and_begins_nothing() {
        let stop = crate::CancellationToken::new();
        let engine = Arc::new(ScriptedEngine::new([failure(ErrorKind::Server), "late".into()]));
        let retry =
            Retry::new(Arc::clone(&engine), RetryPolicy::default().cancellation(stop.clone()));
        let begun = Instant::now();
        let request = Request::new(Purpose::Sample, [Message::user("q")]);
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            stop.cancel();
        };
        let (answer, ()) = tokio::join!(retry.complete(&request), stopping);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Server);
        assert_eq!(begun.elapsed(), Duration::from_millis(10));
        assert_eq!(engine.requests().len(), 1);
    }

    fn failure(kind: ErrorKind) -> Reply {
        Reply::error(EngineError::new(kind, "no"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_request_is_asked_again_with_waits_of_its_own() {
        let request = Request::new(Purpose::Sample, [Message::user("hi")]);
        let policy = RetryPolicy::default();
        let engine = Retry::new(
            ScriptedEngine::new([
                failure(ErrorKind::Server),
                failure(ErrorKind::Timeout),
                "yes".into(),
            ]),
            policy.clone(),
        );
        let start = Instant::now();
        assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "yes");
        assert_eq!(engine.engine.requests(), [request.clone(), request.clone(), request.clone()]);

        let seeded = policy.seed(request_key("scripted", &request).seed());
        let error = EngineError::new(ErrorKind::Server, "no");
        let waits: Duration = (1..=2).filter_map(|retry| seeded.delay(&error, retry)).sum();
        // The timer of tokio counts whole milliseconds, rounded up.
        let over = start.elapsed().checked_sub(waits).unwrap();
        assert!(over <= Duration::from_millis(2), "{over:?} over {waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_error_is_final_at_once() {
        for kind in
            [ErrorKind::Auth, ErrorKind::Quota, ErrorKind::InvalidRequest, ErrorKind::NotFound]
        {
            let engine = Retry::new(
                ScriptedEngine::new([failure(kind), "yes".into()]),
                RetryPolicy::default(),
            );
            let start = Instant::now();
            let error = engine.complete(&Request::new(Purpose::Sample, [])).await.unwrap_err();
            assert_eq!((error.kind(), error.message()), (kind, "no"));
            assert_eq!(engine.engine.requests().len(), 1);
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_has_the_usage_of_all_attempts_and_a_response_its_own() {
        let usage = Usage { prompt_tokens: 7, completion_tokens: 1, cached_tokens: 0 };
        let failure =
            || Reply::error(EngineError::new(ErrorKind::BadResponse, "withheld").with_usage(usage));
        let request = Request::new(Purpose::Sample, []);
        let retry = |replies: Vec<Reply>| {
            Retry::new(ScriptedEngine::new(replies), RetryPolicy::default().max_retries(1))
        };
        let error = retry(vec![failure(), failure()]).complete(&request).await.unwrap_err();
        assert_eq!((error.usage().prompt_tokens, error.usage().completion_tokens), (14, 2));

        let answer =
            Response::new(vec![textgrad_core::Choice::new("x", textgrad_core::FinishReason::Stop)]);
        let answers = textgrad_core::engine_fn("e", {
            let left = std::sync::Mutex::new(vec![
                Ok(answer.with_usage(usage)),
                Err(EngineError::new(ErrorKind::BadResponse, "withheld").with_usage(usage)),
            ]);
            move |_| std::future::ready(left.lock().unwrap().pop().unwrap())
        });
        let retried = Retry::new(answers, RetryPolicy::default()).complete(&request).await;
        assert_eq!(retried.unwrap().usage, usage);
    }
}
