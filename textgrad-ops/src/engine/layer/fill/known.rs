//! What is known of a server.

use std::sync::atomic::{AtomicU8, Ordering};

/// How many answers a server gives to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Multiplicity {
    Unknown,
    One,
    Many,
}

/// What was learned so far. A server that once gave several answers can: a later single one was an accident.
#[derive(Debug, Default)]
pub(super) struct Known(AtomicU8);

const ONE: u8 = 1;
const MANY: u8 = 2;

impl Known {
    pub(super) fn get(&self) -> Multiplicity {
        match self.0.load(Ordering::Relaxed) {
            ONE => Multiplicity::One,
            MANY => Multiplicity::Many,
            _ => Multiplicity::Unknown,
        }
    }

    /// Takes note that so many answers came to a request for several.
    pub(super) fn saw(&self, answers: u64) {
        match answers {
            0 => {}
            1 => {
                self.0.fetch_max(ONE, Ordering::Relaxed);
            }
            _ => {
                self.0.fetch_max(MANY, Ordering::Relaxed);
            }
        }
    }
}
