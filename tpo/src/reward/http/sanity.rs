//! Whether scores look as if something were wrong with the server.

use std::sync::{Mutex, PoisonError};

/// How many scores must look suspicious before anything is said.
const ENOUGH: usize = 20;

/// Watches the scores of one reward model and warns once for each thing that looks wrong.
#[derive(Debug, Default)]
pub(super) struct Sanity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seen: usize,
    first: Option<f64>,
    /// Whether a score outside of 0 to 1 was seen.
    raw: bool,
    /// Whether two different scores were seen.
    different: bool,
}

/// What looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    Activation,
    Constant,
}

impl Sanity {
    pub(super) fn look_at(&self, model: &str, scores: &[f64]) {
        match self.suspect(scores) {
            Some(Suspicion::Activation) => tracing::warn!(
                model,
                "all scores so far lie between 0 and 1: an activation seems to be on, and scores that are \
                 close to its ends become ties; ask the server for raw scores (vLLM: --pooler-config \
                 '{{\"use_activation\": false}}', text-embeddings-inference: raw_scores)"
            ),
            Some(Suspicion::Constant) => tracing::warn!(
                model,
                "all scores so far are the same: the server seems not to score what it is sent; check the \
                 chat template, and whether the route gives one class through a softmax"
            ),
            None => {}
        }
    }

    /// What looks wrong, once [`ENOUGH`] scores were seen.
    fn suspect(&self, scores: &[f64]) -> Option<Suspicion> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.seen;
        for score in scores {
            state.seen += 1;
            state.raw |= !(0.0..=1.0).contains(score);
            let first = *state.first.get_or_insert(*score);
            state.different |= first.to_bits() != score.to_bits();
        }
        if before >= ENOUGH || state.seen < ENOUGH {
            return None;
        }
        match (state.different, state.raw) {
            (false, _) => Some(Suspicion::Constant),
            (true, false) => Some(Suspicion::Activation),
            (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(scores: impl Iterator<Item = f64>) -> Vec<Suspicion> {
        let sanity = Sanity::default();
        scores.filter_map(|score| sanity.suspect(&[score])).collect()
    }

    #[test]
    fn scores_between_0_and_1_are_suspected_once() {
        assert_eq!(said((0..100).map(|i| f64::from(i) / 100.0)), [Suspicion::Activation]);
        assert_eq!(said((0..19).map(|i| f64::from(i) / 100.0)), []);
    }

    #[test]
    fn scores_that_never_differ_are_suspected_once() {
        assert_eq!(said((0..100).map(|_| -3.0)), [Suspicion::Constant]);
        assert_eq!(said((0..100).map(|_| 1.0)), [Suspicion::Constant]);
    }

    #[test]
    fn raw_scores_are_not() {
        assert_eq!(said((0..100).map(|i| f64::from(i) - 3.0)), []);
        assert_eq!(Sanity::default().suspect(&[0.5; 19]), None);
        // Nor are those of a model whose scores lie between -1 and 1, or a little beyond an activation's.
        assert_eq!(said((0..=100).map(|i| f64::from(i - 50) / 50.0)), []);
        for beyond in [-0.001, 1.001] {
            assert_eq!(
                said((0..100).map(|i| if i == 7 { beyond } else { f64::from(i) / 100.0 })),
                []
            );
        }
        // The ends belong to it.
        assert_eq!(said((0..100).map(|i| f64::from(i % 2))), [Suspicion::Activation]);
    }
}
