//! Events of a search while it runs.

use super::pool::Pool;

/// An answer that a search has scored and put into its pool.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SearchEvent<'a> {
    /// The iteration that it comes from; 0 is the first sampling.
    pub iteration: u32,
    /// Its position among the candidates, from 0.
    pub candidate: usize,
    /// Its text.
    pub text: &'a str,
    /// Its score.
    pub score: f64,
    /// The position of the best answer so far; of equal ones, the earliest.
    pub best: usize,
    /// The score of that answer.
    pub best_score: f64,
}

/// Receives the events of a search, in their order.
///
/// A closure that takes a `&SearchEvent` is one. It is called within the search: it must not block.
pub trait SearchObserver: Send + Sync {
    /// An answer was scored.
    fn scored(&self, event: &SearchEvent<'_>);
}

impl<F: Fn(&SearchEvent<'_>) + Send + Sync> SearchObserver for F {
    fn scored(&self, event: &SearchEvent<'_>) {
        self(event);
    }
}

/// The event of the newest answer of a pool.
pub(crate) fn newest(pool: &Pool) -> Option<SearchEvent<'_>> {
    let candidate = pool.candidates().len().checked_sub(1)?;
    let (newest, best) = (pool.get(candidate)?, pool.best()?);
    Some(SearchEvent {
        iteration: newest.iteration,
        candidate,
        text: newest.text(),
        score: newest.score,
        best,
        best_score: pool.get(best)?.score,
    })
}
