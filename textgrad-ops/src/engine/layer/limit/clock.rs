//! Time as tokio keeps it, for the rate limiter.

use governor::clock::Clock;
use governor::nanos::Nanos;
use tokio::time::Instant;

/// Nanoseconds since the clock was made, by tokio's clock: the limiter and the sleeps it asks for agree, also
/// where that clock is paused.
#[derive(Debug, Clone)]
pub(super) struct TokioClock(Instant);

impl TokioClock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}
