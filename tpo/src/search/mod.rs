//! One query: sample, compare, rewrite, repeat, return the best.

mod align;
mod builder;
mod improve;
mod nodes;
mod pairs;
mod pool;
mod run;
mod shuffled;
mod trajectory;

pub use self::align::{AlignError, Alignment};
pub use self::builder::{Tpo, TpoBuilder};
pub(crate) use self::pairs::comparisons;
pub use self::pairs::{Comparison, PairCx, PairSelection, Pairs};
pub use self::pool::{Candidate, Pool};
pub(crate) use self::shuffled::DonorQuery;
pub use self::trajectory::{
    CandidateRecord, IterationRecord, PurposeUsage, Trajectory, UsageRecord,
};
