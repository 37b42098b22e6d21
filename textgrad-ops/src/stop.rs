//! The wish to stop.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks work to stop: nothing new is begun from then on, waits are cut short, and what is under way is let
/// finish, for it is paid for. Clones share the wish.
///
/// # Examples
/// ```
/// use textgrad_ops::Stop;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let stop = Stop::default();
/// let in_the_signal_handler = stop.clone();
/// in_the_signal_handler.set();
/// assert!(stop.is_set());
/// stop.wait().await;
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks to stop.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked to stop. Cancel safe.
    pub async fn wait(&self) {
        // The sender lives as long as `self`, so the only way out is the wish.
        let _ = self.0.subscribe().wait_for(|set| *set).await;
    }
}
