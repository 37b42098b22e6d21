//! What people differentiate with: calls of language models, functions, losses, optimizers, and the engines
//! and layers that carry them out.

mod algebra;
pub mod engine;
mod error;
mod function;
mod llm;
mod loss;
mod optim;
pub mod prompts;
mod stop;
pub mod train;

#[doc(inline)]
pub use self::algebra::{LlmReduce, aggregate, sum};
#[doc(inline)]
pub use self::error::{Error, describe};
#[doc(inline)]
pub use self::function::StringFn;
#[doc(inline)]
pub use self::llm::{Ask, FormattedLlmCall, FormattedLlmCallBuilder, LlmCall, LlmCallBuilder};
#[doc(inline)]
pub use self::loss::{Loss, TextLoss};
#[doc(inline)]
pub use self::optim::{
    ExtractError, Optimizer, Outcome, ParameterUpdate, Proposal, Rejected, Rewrite, Tags,
    TextualGradientDescent, TextualGradientDescentBuilder,
};
#[doc(inline)]
pub use self::stop::Stop;
