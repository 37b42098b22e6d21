//! Keeps the figures.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::StatusCode;
use serde_json::Value;
use textgrad_core::Message;

use super::prefix::Prefixes;
use super::seen::Seen;
use super::{RouteStats, Stats};
use crate::fake_server::fault::Fault;
use crate::fake_server::routes::Route;

/// The most bodies kept, and the most bytes of them.
const MAX_BODIES: usize = 4096;
const MAX_BODY_BYTES: usize = 32 << 20;

/// A request that came, as the recorder knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) route: Route,
    hash: u64,
}

/// The figures and what they are computed from.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    stats: Stats,
    prefixes: Prefixes,
    seen: Seen,
    bodies: VecDeque<(Route, Value, usize)>,
    body_bytes: usize,
}

impl Recorder {
    fn route(&mut self, route: Route) -> &mut RouteStats {
        self.stats.routes.entry(route).or_default()
    }

    pub(crate) fn arrive(&mut self, route: Route, body: &[u8]) -> Arrival {
        let mut hasher = DefaultHasher::new();
        (route, body).hash(&mut hasher);
        let hash = hasher.finish();
        let duplicate = !body.is_empty() && self.seen.arrive(hash);
        let figures = self.route(route);
        figures.requests += 1;
        figures.duplicates += u64::from(duplicate);
        figures.in_flight += 1;
        figures.max_in_flight = figures.max_in_flight.max(figures.in_flight);
        if !body.is_empty() {
            self.keep(route, body);
        }
        Arrival { route, hash }
    }

    fn keep(&mut self, route: Route, body: &[u8]) {
        let value = serde_json::from_slice(body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
        self.bodies.push_back((route, value, body.len()));
        self.body_bytes += body.len();
        while (self.bodies.len() > MAX_BODIES || self.body_bytes > MAX_BODY_BYTES)
            && let Some((_, _, bytes)) = self.bodies.pop_front()
        {
            self.body_bytes -= bytes;
        }
    }

    pub(crate) fn bodies(&self, wanted: impl Fn(Route) -> bool) -> Vec<Value> {
        self.bodies
            .iter()
            .filter(|(route, _, _)| wanted(*route))
            .map(|(_, body, _)| body.clone())
            .collect()
    }

    /// Counts the messages of a request; the characters of it that were known.
    pub(crate) fn read(&mut self, messages: &[Message]) -> u64 {
        let reuse = self.prefixes.read(messages);
        self.stats.characters_received += reuse.characters;
        self.stats.prefix_reused += reuse.reused;
        reuse.reused
    }

    pub(crate) fn wrote<'a>(
        &mut self,
        messages: &[Message],
        answers: impl Iterator<Item = Option<&'a str>>,
    ) {
        for answer in answers {
            self.stats.choices_returned += 1;
            if let Some(answer) = answer {
                self.prefixes.wrote(messages, answer);
            }
        }
    }

    pub(crate) fn scored(&mut self, answers: usize) {
        self.stats.answers_scored += answers as u64;
    }

    pub(crate) fn fired(&mut self, fault: &Fault) {
        *self.stats.faults.entry(fault.name().to_owned()).or_default() += 1;
    }

    pub(crate) fn answered(&mut self, route: Route, status: StatusCode) {
        let class = format!("{}xx", status.as_u16() / 100);
        *self.route(route).statuses.entry(class).or_default() += 1;
    }

    pub(crate) fn dropped(&mut self, route: Route) {
        self.route(route).dropped += 1;
    }

    /// A request was answered whole and without a fault.
    pub(crate) fn finished(&mut self, arrival: Arrival) {
        let again = self.seen.finish(arrival.hash);
        self.route(arrival.route).paid_twice += u64::from(again);
    }

    pub(crate) fn left(&mut self, route: Route) {
        let figures = self.route(route);
        figures.in_flight = figures.in_flight.saturating_sub(1);
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        if stats.characters_received > 0 {
            stats.prefix_share = stats.prefix_reused as f64 / stats.characters_received as f64;
        }
        stats
    }

    /// Forgets everything but the requests being answered now.
    pub(crate) fn reset(&mut self) {
        let fresh = Self::default();
        let before = std::mem::replace(self, fresh);
        for (route, figures) in before.stats.routes {
            if figures.in_flight > 0 {
                let kept = self.route(route);
                kept.in_flight = figures.in_flight;
                kept.max_in_flight = figures.in_flight;
            }
        }
    }
}
