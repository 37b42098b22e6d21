//! One query: sample, compare, rewrite, repeat, return the best.

mod align;
mod builder;
mod nodes;
mod pool;
mod trajectory;

pub use self::align::{AlignError, Alignment};
pub use self::builder::{Tpo, TpoBuilder};
pub use self::pool::{Candidate, Pool};
pub use self::trajectory::{
    CandidateRecord, IterationRecord, PurposeUsage, Trajectory, UsageRecord,
};
