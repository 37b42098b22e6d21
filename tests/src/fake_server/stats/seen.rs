//! Repeated request bodies.

use std::collections::{HashMap, VecDeque};

/// The most bodies remembered.
const CAPACITY: usize = 1 << 16;

/// The hashes of the last bodies, and which of them were answered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    answered: HashMap<u64, bool>,
    order: VecDeque<u64>,
}

impl Seen {
    /// Remembers a body; whether it came before.
    pub(super) fn arrive(&mut self, hash: u64) -> bool {
        if self.answered.contains_key(&hash) {
            return true;
        }
        self.answered.insert(hash, false);
        self.order.push_back(hash);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.answered.remove(&oldest);
        }
        false
    }

    /// Remembers that a body was answered; whether that had happened before.
    pub(super) fn finish(&mut self, hash: u64) -> bool {
        self.answered.get_mut(&hash).is_some_and(|answered| std::mem::replace(answered, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_duplicate_from_its_second_arrival_and_paid_twice_from_its_second_answer() {
        let mut seen = Seen::default();
        assert!(!seen.arrive(1));
        assert!(seen.arrive(1));
        assert!(!seen.finish(1));
        assert!(seen.finish(1));
        assert!(!seen.arrive(2));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut seen = Seen::default();
        for hash in 0..=CAPACITY as u64 {
            seen.arrive(hash);
        }
        assert_eq!(seen.answered.len(), CAPACITY);
        assert!(!seen.arrive(0));
        assert!(seen.arrive(2));
    }
}
