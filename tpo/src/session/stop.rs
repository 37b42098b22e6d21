//! The wish to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a run to stop: no new call is begun from then on; calls that are under way are let finish, for they
/// are paid for. Clones share the wish.
///
/// # Examples
/// ```
/// let stop = tpo::Stop::default();
/// let in_the_signal_handler = stop.clone();
/// in_the_signal_handler.set();
/// assert!(stop.is_set());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
