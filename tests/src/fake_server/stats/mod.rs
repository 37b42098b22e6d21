//! Statistics of requests.

mod prefix;
mod recorder;
mod seen;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::prefix::{Prefixes, Reuse};
pub(super) use self::recorder::{Arrival, Recorder};

use super::routes::Route;

/// What was asked of the server so far, as `GET /stats` tells it. `/stats` itself is not counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The name of the engine that answers.
    pub engine: String,
    /// Whether what it writes is simulated.
    pub simulation: bool,
    /// By route; a route nobody asked is absent, see [`Stats::route`].
    pub routes: BTreeMap<Route, RouteStats>,
    /// How often each fault happened, by its name.
    pub faults: BTreeMap<String, u64>,
    /// Choices of chat answers given out, cut-off ones included.
    pub choices_returned: u64,
    /// Answers that `/classify` scored.
    pub answers_scored: u64,
    /// Characters of the messages of all chat requests that were read: those that a fault or a mistake had
    /// refused before are not.
    pub characters_received: u64,
    /// Of these, the characters that a server with automatic prefix caching need not have read again: the
    /// longest beginning that the request shares, role by role and character by character, with any one
    /// earlier request followed by one of its answers.
    ///
    /// Only the text of messages counts, as in the total. A beginning is shared across conversations too, as
    /// in a real cache. The server remembers the last 16 MiB of conversations.
    pub prefix_reused: u64,
    /// `prefix_reused` of `characters_received`, in `[0, 1]`; 0 before the first request.
    pub prefix_share: f64,
}

/// What was asked of one route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStats {
    /// Requests that came.
    pub requests: u64,
    /// Answers by status class, `2xx` to `5xx`.
    pub statuses: BTreeMap<String, u64>,
    /// Requests without an answer: the connection was reset, or the client left.
    pub dropped: u64,
    /// Requests being answered now; a streamed one until its last piece.
    pub in_flight: u64,
    /// The most of them at any one time.
    pub max_in_flight: u64,
    /// Requests whose body is, byte for byte, that of an earlier one. A client that tries again after a
    /// failure sends them rightly.
    pub duplicates: u64,
    /// Duplicates of a request that had been answered, that were answered again: both without a fault, or with
    /// one that only took time. What a client has paid for twice.
    ///
    /// Bodies are remembered by hash, the last 65,536 of them.
    pub paid_twice: u64,
}

impl Stats {
    /// The figures of a route, all zero for one that nobody asked.
    #[must_use]
    pub fn route(&self, route: Route) -> RouteStats {
        self.routes.get(&route).cloned().unwrap_or_default()
    }

    /// How often a fault happened, by the name it is written with.
    #[must_use]
    pub fn fault(&self, name: &str) -> u64 {
        self.faults.get(name).copied().unwrap_or_default()
    }
}
