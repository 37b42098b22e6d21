//! Training: data sets, evaluators, and the loop that improves the texts of a program.

mod data;
mod evaluate;
mod program;

#[doc(inline)]
pub use self::data::{Batches, Benchmark, DataFormat, Dataset, Example, Mapping, Split};
#[doc(inline)]
pub use self::evaluate::{
    ChoiceLetter, Contains, Evaluator, EvaluatorFn, EvaluatorLoss, ExactMatch, LlmJudge,
    LlmJudgeBuilder, MathVistaMatch, Normalization, NumericMatch, Unreadable, evaluator_fn,
};
use self::program::is_right;
#[doc(inline)]
pub use self::program::{EveryExample, ExampleLoss, ExampleLossFn, Program, example_loss_fn};

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
