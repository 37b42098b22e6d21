//! What people differentiate with: calls of language models, functions, losses, optimizers, and the engines
//! and layers that carry them out.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `json-schema` | `check::JsonSchema`, a check that a text is JSON after a schema |
//! | `sim` | `sim`: a simulated language model and reward model, for tests, examples and first steps |

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
