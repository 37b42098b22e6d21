//! Training: data sets, evaluators, and the loop that improves the texts of a program.

mod data;
mod observe;
mod program;
#[cfg(feature = "progress")]
mod progress;
mod record;
mod run;
mod trainer;

pub use self::data::{Batches, Benchmark, Dataset, Mapping, Split};
pub use self::observe::{Phase, TrainEvent, TrainObserver};
pub use self::program::Program;
#[cfg(feature = "progress")]
pub use self::progress::ProgressBars;
pub use self::record::{
    Baseline, Cost, EndReason, Evaluation, ExampleRecord, HistoryRecord, StepOutcome, StepRecord,
    TrainFailure, Training,
};
pub use self::trainer::{Acceptance, Population, Trainer, TrainerBuilder};
pub use crate::data::DataFormat;
