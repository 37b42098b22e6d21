//! One run over many machines: a coordinator, workers, and a NATS server with JetStream between them.
//!
//! The coordinator is a [`Run`](crate::run::Run) that [searches by a queue](crate::run::Run::queue). Workers search its
//! queries with the search settings of the run and engines of their own. Two streams at the server hold what is under
//! way; the run folder of the coordinator holds all that is done.
//!
//! | subject | messages |
//! |---|---|
//! | `tpo.NAME.work.RUN.INDEX` | one per query that is not finished: delivered to a worker, and again to another one when it shows no sign of life |
//! | `tpo.NAME.log.RUN.INDEX` | the log of a query: `query`, `claim` of a worker, `asked` before a step, `steps` as journal lines, `release`, `result` |
//! | `tpo.NAME.run` | the settings of the run, and its id, `RUN`: what a worker of an earlier run at this address still sends does not reach a later one |
//! | `tpo.NAME.coordinator` | the lease of the coordinator |
//!
//! # Exactness
//! A message is added to a log only if its author knows the last one: the server compares the sequence of the last
//! message of the subject. So a worker whose query was given to another cannot add to the log any more, a step stands
//! there once, and its order is that of the search. The log has no key for its steps, since a query has one worker at
//! a time: the worker that takes over reads the log, and finds each step by the content key that a journal has.
//!
//! A query is finished in this order: the result is in the log, the message of the work stream is acknowledged, the
//! coordinator has the steps in the journal and the line in its results, the log is deleted. A worker that receives a
//! query without a log has received one that is finished.

mod address;
mod cache;
mod coordinator;
mod delivery;
mod entry;
mod held;
mod log;
mod open;
mod worker;

pub use self::address::QueueAddress;
pub use self::cache::{NatsCache, NatsStore};
pub(crate) use self::coordinator::Coordinator;
pub use self::coordinator::QueueOptions;
pub(crate) use self::entry::Recorder;
pub(crate) use self::held::HeldQueue;
pub(crate) use self::open::QueryCounts;
pub use self::worker::{Worker, WorkerReport};

use std::time::Duration;

/// How long a request to the server may take before it is made again.
const TIMEOUT: Duration = Duration::from_secs(5);
