//! Best of N: more answers to the query.

use async_trait::async_trait;

use crate::error::Error;
use crate::search::{Comparison, Iteration, IterationCx, IterationRecord, Method, PairCx, Step};

/// No critique and no rewriting: each iteration samples N more answers to the query, so that the search is best of
/// N(D + 1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Resample;

#[async_trait]
impl Method for Resample {
    fn name(&self) -> String {
        "resample".to_owned()
    }

    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
        let Some(chosen) = cx.pool().best() else { return Ok(()) };
        made.answers = cx.sample(cx.config().samples).await?;
        let (iteration, updates) = (cx.iteration(), made.answers.len());
        let record = IterationRecord { iteration, chosen, updates, ..IterationRecord::default() };
        made.steps.push(Step { record, ..Step::default() });
        Ok(())
    }

    fn comparisons(&self, cx: &PairCx<'_>) -> Result<Option<Vec<Comparison>>, Error> {
        let best = cx.pool().best();
        Ok(Some(best.map(|best| Comparison::new(best, [])).into_iter().collect()))
    }

    fn can_continue(&self) -> bool {
        true
    }
}
