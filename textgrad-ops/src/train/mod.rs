//! Training: data sets, evaluators, and the loop that improves the texts of a program.

mod data;
mod observe;
mod program;
#[cfg(feature = "progress")]
mod progress;
mod record;
mod run;
mod trainer;

#[doc(inline)]
pub use self::data::{Batches, Benchmark, DataFormat, Dataset, Mapping, Split};
#[doc(inline)]
pub use self::observe::{Phase, TrainEvent, TrainObserver};
#[doc(inline)]
pub use self::program::{EveryExample, ExampleLoss, ExampleLossFn, Program, example_loss_fn};
#[cfg(feature = "progress")]
#[doc(inline)]
pub use self::progress::ProgressBars;
#[doc(inline)]
pub use self::record::{
    Baseline, Cost, EndReason, Evaluation, ExampleRecord, HistoryRecord, StepOutcome, StepRecord,
    TrainFailure, Training,
};
#[doc(inline)]
pub use self::trainer::{Acceptance, Trainer, TrainerBuilder};

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
