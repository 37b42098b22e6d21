//! A circuit breaker: after failures of one kind in a row, no further call is made.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response};
use tokio_util::sync::CancellationToken;

use super::Layer;

/// Ends calls to a server that fails each of them; see [`EngineExt::breaker`](super::EngineExt::breaker).
///
/// It opens after so many failures of one kind in a row, cancels its token, and fails all further calls with the error
/// that opened it. It belongs outside of the retries. Calls succeed and fail in the order in which they end.
///
/// Counted are failures of the key, the account, the address, the connection and the server. An invalid request and an
/// invalid reply count where they repeat word by word. Bounds of the caller and unsupported requests do not count.
///
/// # Examples
/// ```
/// use textgrad_core::{Engine, EngineError, ErrorKind, Purpose, Request, engine_fn};
/// use textgrad_ops::layer::{Breaker, EngineExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let breaker = Breaker::new(2);
/// let engine = engine_fn("down", |_| async { Err(EngineError::new(ErrorKind::Auth, "a wrong key")) })
///     .breaker(&breaker);
/// for _ in 0..2 {
///     assert!(engine.complete(&Request::new(Purpose::Sample, [])).await.is_err());
/// }
/// assert_eq!(breaker.opened().unwrap().kind(), ErrorKind::Auth);
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    circuit: Arc<Circuit>,
    streak: Arc<Mutex<Streak>>,
}

#[derive(Debug, Default)]
struct Circuit {
    max_failures: u32,
    cancellation: CancellationToken,
    error: OnceLock<EngineError>,
}

/// Failures of one kind in a row.
#[derive(Debug, Default)]
struct Streak {
    last: Option<EngineError>,
    failures: u32,
}

impl Breaker {
    /// A breaker that opens after so many failures in a row; 0 (the default) never opens it.
    #[must_use]
    pub fn new(max_failures: u32) -> Self {
        Self::canceling(max_failures, CancellationToken::new())
    }

    /// A breaker that also cancels this token when it opens.
    #[must_use]
    pub fn canceling(max_failures: u32, cancellation: CancellationToken) -> Self {
        let circuit = Circuit { max_failures, cancellation, error: OnceLock::new() };
        Self { circuit: Arc::new(circuit), streak: Arc::default() }
    }

    /// A breaker of another server, which opens together with this one and counts its own failures.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { circuit: Arc::clone(&self.circuit), streak: Arc::default() }
    }

    /// The error that opened it, if it is open.
    #[must_use]
    pub fn opened(&self) -> Option<EngineError> {
        self.circuit.error.get().cloned()
    }

    /// Fails if it is open.
    ///
    /// # Errors
    /// The error that opened it.
    pub fn check(&self) -> Result<(), EngineError> {
        self.opened().map_or(Ok(()), Err)
    }

    /// Counts the end of a call.
    pub fn observe<T>(&self, result: &Result<T, EngineError>) {
        let mut streak = self.streak.lock();
        let Err(error) = result else {
            *streak = Streak::default();
            return;
        };
        if !counts(error.kind()) {
            return;
        }
        if !streak.last.as_ref().is_some_and(|last| is_alike(last, error)) {
            streak.failures = 0;
        }
        streak.failures = streak.failures.saturating_add(1);
        streak.last = Some(error.clone());
        let failures = streak.failures;
        drop(streak);
        if self.circuit.max_failures > 0 && failures >= self.circuit.max_failures {
            let message =
                format!("{}; {failures} requests in a row failed like this", error.message());
            self.circuit.error.get_or_init(|| error.clone().with_message(message));
            self.circuit.cancellation.cancel();
        }
    }
}

/// Whether failures of this class can be those of every call.
fn counts(kind: ErrorKind) -> bool {
    kind.is_retryable()
        || matches!(
            kind,
            ErrorKind::Auth | ErrorKind::Quota | ErrorKind::NotFound | ErrorKind::InvalidRequest
        )
}

fn is_alike(one: &EngineError, other: &EngineError) -> bool {
    let depends_on_request = matches!(
        one.kind(),
        ErrorKind::InvalidRequest | ErrorKind::BadResponse | ErrorKind::NoAnswer
    );
    one.kind() == other.kind() && (!depends_on_request || one.message() == other.message())
}

impl Layer for Breaker {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        self.check()?;
        let result = engine.complete(request).await;
        self.observe(&result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(breaker: &Breaker, failures: &[(ErrorKind, &str)]) -> Option<String> {
        for (kind, message) in failures {
            breaker.observe::<()>(&Err(EngineError::new(*kind, *message)));
        }
        breaker.opened().map(|error| error.message().to_owned())
    }

    #[test]
    fn failures_of_one_kind_in_a_row_open_it_and_cancel() {
        let token = CancellationToken::new();
        let breaker = Breaker::canceling(3, token.clone());
        let (down, slow) = ((ErrorKind::Server, "down"), (ErrorKind::Timeout, "slow"));
        assert_eq!(after(&breaker, &[down, down, slow, down, down]), None);
        breaker.observe(&Ok(()));
        assert_eq!(after(&breaker, &[down, down]), None);
        assert_eq!(after(&breaker.another(), &[down, down]), None);
        assert!(!token.is_cancelled());
        let message = "down; 3 requests in a row failed like this";
        assert_eq!(after(&breaker, &[down]).as_deref(), Some(message));
        assert!(token.is_cancelled() && breaker.another().check().is_err());
    }

    #[test]
    fn failures_that_depend_on_the_request_count_if_they_repeat() {
        let (one, two) =
            ((ErrorKind::InvalidRequest, "too long: 1"), (ErrorKind::InvalidRequest, "2"));
        assert_eq!(after(&Breaker::new(2), &[one, two, one, two]), None);
        assert!(after(&Breaker::new(2), &[one, one]).is_some());
        let budget = (ErrorKind::Budget, "used up");
        assert_eq!(after(&Breaker::new(2), &[budget, budget, budget]), None);
        assert_eq!(after(&Breaker::new(0), &[one, one, one]), None);
    }
}
