//! One query: sample, compare, rewrite, repeat, return the best.

mod ablation;
mod align;
mod builder;
mod comparisons;
mod improve;
mod nodes;
mod pairs;
mod partner;
mod pool;
mod run;
mod trajectory;

pub use self::align::{AlignError, Alignment};
pub use self::builder::{Tpo, TpoBuilder};
pub(crate) use self::comparisons::comparisons;
pub use self::pairs::{Comparison, PairCx, PairSelection, Pairs};
pub(crate) use self::partner::Partner;
pub use self::pool::{Candidate, Pool};
pub use self::trajectory::{
    CandidateRecord, IterationRecord, PurposeUsage, Trajectory, UsageRecord,
};
