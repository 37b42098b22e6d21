//! Admission: a bounded number of requests in flight, a bounded queue behind them, and turns between clients.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;
use super::keys::Client;

/// Lets requests through. Cheap to clone.
///
/// A request begins at once where there is room, else it waits. Room that becomes free goes to the clients in turn, so
/// that one client with many requests does not keep others waiting.
#[derive(Clone)]
pub(crate) struct Admission(Arc<AdmissionInner>);

struct AdmissionInner {
    bounds: AdmissionBounds,
    state: Mutex<AdmissionState>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmissionBounds {
    /// Requests in flight.
    pub(crate) running: usize,
    /// Requests that wait.
    pub(crate) queued: usize,
    /// Requests of one client, in flight and waiting; 0: no bound.
    pub(crate) per_client: usize,
    /// The longest wait.
    pub(crate) wait: Duration,
}

#[derive(Default)]
struct AdmissionState {
    running: usize,
    queued: usize,
    /// Requests in flight and waiting, by client.
    clients: BTreeMap<Client, usize>,
    /// Waiting requests by client.
    waiting: BTreeMap<Client, VecDeque<oneshot::Sender<Running>>>,
    /// The clients that wait, the next one first.
    turns: VecDeque<Client>,
    /// The mean time in flight of finished requests, in seconds.
    mean: f64,
}

/// A request in flight; dropping it makes room.
pub(crate) struct Running {
    admission: Admission,
    begun: Instant,
}

/// A request of a client, in flight or waiting.
struct Counted {
    admission: Admission,
    client: Client,
    is_queued: bool,
}

/// An admitted request.
pub(crate) struct Permit {
    _running: Running,
    _counted: Counted,
}

impl Admission {
    pub(crate) fn new(bounds: AdmissionBounds) -> Self {
        let bounds = AdmissionBounds { running: bounds.running.max(1), ..bounds };
        Self(Arc::new(AdmissionInner { bounds, state: Mutex::default() }))
    }

    /// Requests in flight and waiting.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.0.state.lock();
        (state.running, state.queued)
    }

    /// Waits until a request may begin, at most until its deadline. Dropping the future gives its place up.
    pub(crate) async fn enter(
        &self,
        client: Client,
        deadline: Option<Instant>,
    ) -> Result<Permit, ApiError> {
        let longest = Instant::now() + self.0.bounds.wait;
        let end = deadline.map_or(longest, |deadline| deadline.min(longest));
        let (mut counted, waiting) = {
            let mut state = self.0.state.lock();
            let own = state.clients.get(&client).copied().unwrap_or_default();
            let AdmissionBounds { running, queued, per_client, .. } = self.0.bounds;
            if per_client > 0 && own >= per_client {
                let message = format!(
                    "expected at most {per_client} requests of one key at a time; send the next one when one has ended"
                );
                return Err(ApiError::busy(message, state.retry_after(own, 1)));
            }
            let is_queued = state.running >= running;
            if is_queued && state.queued >= queued {
                let message = format!(
                    "the server is busy: {} requests are in flight and {} wait; try again later",
                    state.running, state.queued
                );
                return Err(ApiError::busy(message, state.retry_after(state.queued + 1, running)));
            }
            *state.clients.entry(client).or_default() += 1;
            let counted = Counted { admission: self.clone(), client, is_queued };
            match is_queued {
                false => {
                    state.running += 1;
                    let running = Running { admission: self.clone(), begun: Instant::now() };
                    return Ok(Permit { _running: running, _counted: counted });
                }
                true => {
                    state.queued += 1;
                    let (sender, receiver) = oneshot::channel();
                    let queue = state.waiting.entry(client).or_default();
                    queue.push_back(sender);
                    if queue.len() == 1 {
                        state.turns.push_back(client);
                    }
                    (counted, receiver)
                }
            }
        };
        match timeout_at(end, waiting).await {
            Ok(Ok(running)) => {
                counted.is_queued = false;
                self.0.state.lock().queued -= 1;
                Ok(Permit { _running: running, _counted: counted })
            }
            // The sender lives until there is room.
            Ok(Err(_)) => Err(ApiError::internal("the queue was closed")),
            Err(_) => {
                let retry_after = {
                    let state = self.0.state.lock();
                    state.retry_after(state.queued, self.0.bounds.running)
                };
                let wait = match end < longest {
                    true => "until its deadline".to_owned(),
                    false => format!("for {:?}", self.0.bounds.wait),
                };
                let message = format!(
                    "the server is full: the request waited for a place {wait}; try again later"
                );
                Err(ApiError::busy(message, retry_after))
            }
        }
    }
}

impl AdmissionState {
    /// Removes requests of a client that wait no longer.
    fn forget_closed(&mut self, client: Client) {
        let Some(queue) = self.waiting.get_mut(&client) else { return };
        queue.retain(|sender| !sender.is_closed());
        if queue.is_empty() {
            self.waiting.remove(&client);
            self.turns.retain(|waiting| *waiting != client);
        }
    }

    /// Seconds until so many requests before it have ended, as far as that can be told.
    fn retry_after(&self, before: usize, at_a_time: usize) -> u64 {
        let seconds = self.mean * before as f64 / at_a_time.max(1) as f64;
        seconds.ceil().clamp(1.0, 120.0) as u64
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.admission.0.state.lock();
        let seconds = self.begun.elapsed().as_secs_f64();
        state.mean = if state.mean == 0.0 { seconds } else { 0.9 * state.mean + 0.1 * seconds };
        state.running = state.running.saturating_sub(1);
        let mut next = Vec::new();
        // The client whose turn it is gives room to its oldest request, and goes behind the others.
        while state.running < self.admission.0.bounds.running
            && let Some(client) = state.turns.pop_front()
        {
            let Some(queue) = state.waiting.get_mut(&client) else { continue };
            let sender = queue.pop_front();
            match queue.is_empty() {
                true => drop(state.waiting.remove(&client)),
                false => state.turns.push_back(client),
            }
            // Who waits no longer is passed over.
            if let Some(sender) = sender.filter(|sender| !sender.is_closed()) {
                state.running += 1;
                let running = Running { admission: self.admission.clone(), begun: Instant::now() };
                next.push((sender, running));
            }
        }
        drop(state);
        for (sender, running) in next {
            // Who went away meanwhile hands the room on: the permit that cannot be sent is dropped.
            drop(sender.send(running));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.admission.0.state.lock();
        if self.is_queued {
            state.queued = state.queued.saturating_sub(1);
            state.forget_closed(self.client);
        }
        if let Some(count) = state.clients.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn admission(running: usize, queued: usize, per_client: usize) -> Admission {
        let wait = Duration::from_secs(5);
        Admission::new(AdmissionBounds { running, queued, per_client, wait })
    }

    #[tokio::test]
    async fn clients_take_turns() {
        let admission = admission(1, 10, 0);
        let first = admission.enter(Client(0), None).await.unwrap();
        let mut waiting = Vec::new();
        for client in [0, 0, 0, 1, 2, 1] {
            let mut enter = Box::pin(admission.enter(Client(client), None));
            assert!(enter.as_mut().now_or_never().is_none());
            waiting.push(Some((client, enter)));
        }
        assert_eq!(admission.load(), (1, 6));
        drop(first);
        let mut order = Vec::new();
        while order.len() < 6 {
            for slot in &mut waiting {
                let Some((client, enter)) = slot else { continue };
                if let Some(permit) = enter.as_mut().now_or_never() {
                    order.push(*client);
                    drop(permit.unwrap());
                    *slot = None;
                    break;
                }
            }
        }
        assert_eq!(order, [0, 1, 2, 0, 1, 0]);
        assert_eq!(admission.load(), (0, 0));
        assert!(admission.0.state.lock().clients.is_empty());
    }

    #[tokio::test]
    async fn what_is_too_much_is_refused_with_a_time() {
        let admission = admission(1, 1, 2);
        let _running = admission.enter(Client(0), None).await.unwrap();
        let mut queued = Box::pin(admission.enter(Client(0), None));
        assert!(queued.as_mut().now_or_never().is_none());
        let of_client = admission.enter(Client(0), None).await.err().unwrap();
        assert!(of_client.message().contains("at most 2 requests of one key"), "{of_client:?}");
        let of_all = admission.enter(Client(1), None).await.err().unwrap();
        assert!(of_all.message().contains("busy"), "{of_all:?}");
        assert_eq!(of_all.status().as_u16(), 429);
    }

    #[tokio::test]
    async fn who_leaves_or_waits_for_too_long_gives_the_place_up() {
        let wait = Duration::from_millis(5);
        let bounds = AdmissionBounds { running: 1, queued: 10, per_client: 0, wait };
        let admission = Admission::new(bounds);
        let running = admission.enter(Client(0), None).await.unwrap();
        let mut gone = Box::pin(admission.enter(Client(1), None));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        let late = admission.enter(Client(2), None).await.err().unwrap();
        assert!(late.message().contains("the request waited for a place for 5ms"), "{late:?}");
        assert_eq!(admission.load(), (1, 0));
        let is_empty = |state: &AdmissionState| state.waiting.is_empty() && state.turns.is_empty();
        assert!(is_empty(&admission.0.state.lock()));
        drop(running);
        assert_eq!(admission.load(), (0, 0));
        assert!(admission.enter(Client(3), None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_the_wait_and_says_that_the_server_is_full() {
        let admission = admission(1, 10, 0);
        let _running = admission.enter(Client(0), None).await.unwrap();
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(500);
        let late = admission.enter(Client(1), Some(deadline)).await.err().unwrap();
        assert_eq!(begun.elapsed().as_millis() / 10, 50);
        assert_eq!(late.status().as_u16(), 429);
        let words = "the server is full: the request waited for a place until its deadline";
        assert!(late.message().contains(words), "{late:?}");
        assert_eq!(admission.load(), (1, 0));
    }

    #[tokio::test]
    async fn room_that_cannot_be_handed_over_is_handed_on() {
        let admission = admission(1, 10, 0);
        let running = admission.enter(Client(0), None).await.unwrap();
        let mut first = Box::pin(admission.enter(Client(1), None));
        let mut second = Box::pin(admission.enter(Client(2), None));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(running);
        // The room is in the channel of the first one, which leaves without taking it.
        drop(first);
        assert!(second.await.is_ok());
        assert_eq!(admission.load(), (0, 0));
    }
}
