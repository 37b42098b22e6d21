//! LLM calls, losses, optimizers, training, engines and layers for `textgrad-core`.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `http` (default) | `engine`: clients of OpenAI-compatible servers, Anthropic and Gemini, and presets by name |
//! | `sim` | `sim`: a simulated language model and reward model, for tests, examples and first steps |
//! | `disk-cache` | `store::DiskCache`: responses in an SQLite file |
//! | `json-schema` | `check::JsonSchema`, a check that a text is JSON after a schema |
//! | `page` | the HTML page of a run log |
//! | `progress` | progress bars for training |
//! | `cli` | the `textgrad` program |

mod algebra;
pub mod check;
pub mod command;
#[cfg(feature = "http")]
pub mod engine;
mod error;
mod function;
pub mod layer;
mod llm;
mod loss;
mod optim;
pub mod prompts;
pub mod score;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod train;
pub mod util;

#[doc(inline)]
pub use self::algebra::{LlmReduce, aggregate, concat, sum};
#[doc(inline)]
pub use self::error::Error;
#[doc(inline)]
pub use self::function::StringFn;
#[doc(inline)]
pub use self::llm::{Field, LlmCall, LlmCallBuilder, LlmRequest};
#[doc(inline)]
pub use self::loss::{
    AllOf, ContrastiveLoss, FirstFailing, ImageQaLoss, ListwiseLoss, Loss, LossFn, MultiFieldLoss,
    MultiFieldOver, MultipleChoiceLoss, ScoreLoss, TextLoss, WeightedSum, all_of, all_passed,
    first_failing, loss_fn, weighted_sum, weighted_sum_of,
};
#[doc(inline)]
pub use self::optim::{
    ExtractError, GraphOptimizer, GraphOptimizerBuilder, Optimizer, ParameterUpdate, Proposal,
    ProposalOutcome, Rejected, SampledMomentum, SampledMomentumBuilder, Selection, Tags,
    TextualGradientDescent, TextualGradientDescentBuilder, TrialParameter, UpdateOutcome,
    Violation,
};
/// Cancellation of work, from `tokio-util`: nothing new begins after it, waits end, and calls under way finish.
pub use tokio_util::sync::CancellationToken;
