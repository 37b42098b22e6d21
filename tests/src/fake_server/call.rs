//! One request from its arrival to the last byte of its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::delivery::{Delivery, Reset};
use super::error::{ApiError, unauthorized};
use super::fault::{self, Fault, Refusal};
use super::routes::Route;
use super::server::Shared;
use super::stats::Arrival;

/// A request counted as being answered until this is dropped.
#[derive(Debug)]
pub(super) struct Flight {
    shared: Arc<Shared>,
    arrival: Arrival,
    /// Whether the answer, once all of it was sent, is one that a client need not ask for again.
    whole: bool,
}

impl Flight {
    /// The last piece of the answer is on its way.
    pub(super) fn land(self) {
        if self.whole {
            self.shared.recorder().finished(self.arrival);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.shared.recorder().left(self.arrival.route);
        self.shared.count_ended(self.arrival.route);
    }
}

/// A request that has no answer yet. Dropped without one, it counts as dropped.
#[derive(Debug)]
pub(super) struct Call {
    shared: Arc<Shared>,
    route: Route,
    flight: Option<Flight>,
    fault: Option<Fault>,
    fired: bool,
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.shared.recorder().dropped(self.route);
        }
    }
}

impl Call {
    pub(super) fn begin(shared: &Arc<Shared>, route: Route, body: &[u8]) -> Self {
        let arrival = shared.recorder().arrive(route, body);
        Self {
            shared: Arc::clone(shared),
            route,
            flight: Some(Flight { shared: Arc::clone(shared), arrival, whole: false }),
            fault: None,
            fired: false,
        }
    }

    /// What is said instead of an answer: that the key is wrong, or what the fault that is due says.
    pub(super) fn refusal(&mut self, headers: &HeaderMap) -> Option<Delivery> {
        if self.route.needs_key()
            && let Some(refusal) = self.refusal_of_key(headers)
        {
            return Some(refusal);
        }
        self.fault = self.shared.next_fault(self.route);
        let shape = self.shared.options.error_shape;
        let refusal = fault::refusal(self.fault.as_ref()?, shape)?;
        self.fire();
        Some(match refusal {
            Refusal::Response(response) => Delivery::Whole(response),
            Refusal::Reset => Delivery::Reset,
        })
    }

    /// vLLM's words for a key that is missing or wrong.
    pub(super) fn refusal_of_key(&self, headers: &HeaderMap) -> Option<Delivery> {
        let key = self.shared.options.api_key.as_deref()?;
        let sent = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        (sent != Some(key)).then(|| Delivery::Whole(unauthorized()))
    }

    /// Waits for its turn, and as long as the server's latency and a stall ask for.
    pub(super) async fn wait(&mut self) {
        self.shared.turn().await;
        let latency = self.shared.options.latency;
        let stall = match self.fault {
            Some(Fault::Stall(delay)) => {
                self.fire();
                delay
            }
            _ => Duration::ZERO,
        };
        let delay = (latency + stall).min(fault::MAX_DELAY);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The fault happened.
    pub(super) fn fire(&mut self) {
        if let Some(fault) = &self.fault
            && !std::mem::replace(&mut self.fired, true)
        {
            self.shared.recorder().fired(fault);
        }
    }

    /// The answer goes out.
    pub(super) fn send(mut self, delivery: Delivery) -> Response {
        let Some(mut flight) = self.flight.take() else {
            return Reset.into_response();
        };
        if let Delivery::Reset = delivery {
            self.shared.recorder().dropped(self.route);
            return Reset.into_response();
        }
        let spoiled = self.fired && self.fault.as_ref().is_some_and(|fault| !fault.only_delays());
        let status = delivery.status();
        flight.whole = status.is_success() && !spoiled;
        self.shared.recorder().answered(self.route, status);
        delivery.into_response(flight)
    }

    /// The answer goes out, or why there is none.
    pub(super) fn finish(self, answer: Result<Delivery, ApiError>) -> Response {
        let shape = self.shared.options.error_shape;
        let delivery = answer.unwrap_or_else(|error| Delivery::Whole(error.response(shape)));
        self.send(delivery)
    }
}
