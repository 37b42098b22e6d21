//! Events of a search while it runs.

use std::fmt;
use std::sync::Arc;

use super::pool::Pool;

/// An answer that a search has scored and put into its pool.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SearchEvent<'a> {
    /// The index of the query.
    pub query: usize,
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

/// Receives the events of searches, in the order of each search. It is called within the search: it must not block.
#[derive(Clone)]
pub(crate) struct SearchObserver(Arc<dyn Fn(&SearchEvent<'_>) + Send + Sync>);

impl SearchObserver {
    pub(crate) fn new(observer: impl Fn(&SearchEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }

    pub(crate) fn scored(&self, event: &SearchEvent<'_>) {
        (self.0)(event);
    }
}

impl fmt::Debug for SearchObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchObserver").finish_non_exhaustive()
    }
}

/// The event of the newest answer of a pool.
pub(crate) fn newest(query: usize, pool: &Pool) -> Option<SearchEvent<'_>> {
    let candidate = pool.candidates().len().checked_sub(1)?;
    let (newest, best) = (pool.get(candidate)?, pool.best()?);
    Some(SearchEvent {
        query,
        iteration: newest.iteration,
        candidate,
        text: newest.text(),
        score: newest.score,
        best,
        best_score: pool.get(best)?.score,
    })
}
