//! Slots of concurrent calls, given to older work first.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

tokio::task_local! {
    static AGE: u64;
}

/// Runs work whose calls wait for a [`Limiter`](super::Limiter) in front of those of younger work, of higher numbers.
/// Many searches then end one after the other, where they would all go on at the pace of the server and end together.
/// Calls of the same age, and all outside of this function, are served in the order of their arrival; those outside
/// come first.
///
/// # Examples
/// ```
/// use textgrad_ops::layer::{Limiter, Limits, of_age};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let limiter = &Limiter::new(Limits::default().concurrency(1));
/// let first = limiter.acquire(1).await?;
/// let call = |age: u64| of_age(age, async move { limiter.acquire(1).await.map(|_| age) });
/// let (younger, older, ()) = tokio::join!(call(2), call(1), async { drop(first) });
/// assert_eq!((younger?, older?), (2, 1));
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
pub async fn of_age<F: Future>(age: u64, work: F) -> F::Output {
    AGE.scope(age, work).await
}

/// A bounded number of slots. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Slots(Arc<Mutex<SlotsState>>);

#[derive(Debug)]
struct SlotsState {
    free: usize,
    arrived: u64,
    /// Calls that wait, by age and arrival.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<Slot>>,
}

/// A taken slot; it is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot(Option<Slots>);

impl Slots {
    pub(super) fn new(free: usize) -> Self {
        let (arrived, waiting) = (0, BTreeMap::new());
        Self(Arc::new(Mutex::new(SlotsState { free, arrived, waiting })))
    }

    /// Waits for a slot. Dropping the future gives its place up.
    pub(super) async fn acquire(&self) -> Slot {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.0.lock();
            if state.free > 0 {
                state.free -= 1;
                return Slot(Some(self.clone()));
            }
            let key = (AGE.try_with(|age| age.saturating_add(1)).unwrap_or(0), state.arrived);
            state.arrived += 1;
            state.waiting.insert(key, sender);
        }
        // The sender is dropped with the slots, and these with the last clone: not while this one is here.
        receiver.await.unwrap_or(Slot(None))
    }

    /// Gives a slot to the next call that still waits.
    fn release(self) {
        loop {
            let mut state = self.0.lock();
            let Some((_, next)) = state.waiting.pop_first() else {
                state.free += 1;
                return;
            };
            drop(state);
            match next.send(Slot(Some(self.clone()))) {
                Ok(()) => return,
                // Its call was dropped; the slot goes on.
                Err(mut slot) => slot.0 = None,
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn older_work_ends_before_younger_work_goes_on() {
        let slots = Slots::new(2);
        let ended: Mutex<Vec<u64>> = Mutex::default();
        let work = |age: u64| {
            let (slots, ended) = (slots.clone(), &ended);
            of_age(age, async move {
                for _ in 0..3 {
                    let _slot = slots.acquire().await;
                    sleep(Duration::from_secs(1)).await;
                }
                ended.lock().push(age);
            })
        };
        join_all([4, 3, 2, 1, 0].map(work)).await;
        // The two youngest found slots free, and wait for all others after a call.
        let mut ended = ended.into_inner();
        assert_eq!(ended.split_off(3), [3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_dropped_while_it_waited_holds_nothing() {
        let slots = Slots::new(1);
        let first = slots.acquire().await;
        assert!(timeout(Duration::from_secs(1), slots.acquire()).await.is_err());
        let (second, ()) = tokio::join!(slots.acquire(), async { drop(first) });
        drop(second);
        assert!(timeout(Duration::from_secs(1), slots.acquire()).await.is_ok());
        assert_eq!(slots.0.lock().free, 1);
    }
}
