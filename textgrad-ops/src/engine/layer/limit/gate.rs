//! So much per minute, first come, first served.

use std::num::NonZeroU32;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Semaphore;

use super::clock::TokioClock;

/// A bucket that holds one minute's worth and fills evenly.
pub(super) struct Gate {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    clock: TokioClock,
    full: NonZeroU32,
    /// Only the first in line may take from the bucket: else small requests would for ever drain what a
    /// large one waits for.
    line: Semaphore,
}

impl Gate {
    pub(super) fn per_minute(full: NonZeroU32) -> Self {
        let clock = TokioClock::new();
        let quota = Quota::per_minute(full);
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            full,
            line: Semaphore::new(1),
        }
    }

    /// Takes `amount` from the bucket, as soon as it is there. What is more than the bucket holds takes the
    /// full bucket: it is let through late rather than never.
    pub(super) async fn take(&self, amount: u64) {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        let Some(amount) = NonZeroU32::new(amount.min(self.full.get())) else {
            return;
        };
        let _turn = self.line.acquire().await;
        // The outer error is for amounts above the full bucket, which were cut down above.
        while let Ok(Err(not_until)) = self.limiter.check_n(amount) {
            tokio::time::sleep(not_until.wait_time_from(self.clock.now())).await;
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gate({} per minute)", self.full)
    }
}
