//! Searches of the queries of a run: in this process, or by workers.

use super::results::ResultRecord;
use crate::batch::{Batch, QueryOutcome};
use crate::error::Error;

/// Who searches the queries of a run.
pub(super) enum Searches {
    /// This process.
    Here(Box<Batch>),
    /// Workers at a queue.
    #[cfg(feature = "queue")]
    Queue(Box<crate::queue::Coordinator>),
}

/// What came of a query.
pub(super) enum Searched {
    /// It was searched here.
    Here(Box<QueryOutcome>),
    /// A worker searched it: the record, and its line.
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "made by queues"))]
    Recorded(Box<ResultRecord>, Vec<u8>),
}

impl Searches {
    /// The next query that is done, in the order of the queries; none if there are no more. Whoever takes the next has
    /// written the earlier ones down. Cancel safe.
    ///
    /// # Errors
    /// Those of a queue; then the run cannot go on.
    pub(super) async fn next(&mut self) -> Result<Option<Searched>, Error> {
        match self {
            Self::Here(batch) => {
                Ok(batch.next().await.map(|outcome| Searched::Here(Box::new(outcome))))
            }
            #[cfg(feature = "queue")]
            Self::Queue(queue) => {
                let next = queue.next().await?;
                Ok(next.map(|(record, line)| Searched::Recorded(Box::new(record), line)))
            }
        }
    }

    /// Ends them; `is_over` says whether all that was found is written down, and there is nothing left to search.
    pub(super) async fn end(self, is_over: bool) -> Result<(), Error> {
        match self {
            Self::Here(_) => {
                let _ = is_over;
                Ok(())
            }
            #[cfg(feature = "queue")]
            Self::Queue(queue) => queue.end(is_over).await,
        }
    }
}
