//! Differentiable LLM calls, losses and optimizers for [`textgrad_core`], with the engines, layers and stores that
//! they run on.
//!
//! A training step in four lines: call, loss, backward pass, update. The engine here is scripted, so the program
//! runs offline.
//!
//! ```
//! use std::sync::Arc;
//! use textgrad_core::testing::ScriptedEngine;
//! use textgrad_ops::prelude::*;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let engine = Arc::new(ScriptedEngine::new([
//!     "Red.",
//!     "It gives no reason.",
//!     "Give a reason.",
//!     "Ask for a reason.",
//!     "<IMPROVED_VARIABLE>\nAnswer with a reason.\n</IMPROVED_VARIABLE>",
//! ]));
//! let system = Parameter::new("Answer.", "system prompt");
//! let question = Variable::constant("What is the color of Mars?", "question");
//!
//! let llm = LlmCall::builder(engine.clone()).build();
//! let answer = llm.ask(&question).system(&system).one().await?;
//! let loss = TextLoss::new(engine.clone(), "Judge the answer.").evaluate(&answer).await?;
//! let gradients = backward(&loss).await?;
//! TextualGradientDescent::builder(engine).build().step([&system], &gradients).await?;
//! assert_eq!(system.text().as_ref(), "Answer with a reason.");
//! # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
//! ```
//!
//! # Parts
//! * [`LlmCall`] is a call of a language model, [`StringFn`] a function on texts.
//! * [`Loss`]es evaluate a text in words ([`TextLoss`], [`ContrastiveLoss`], ..) or by a score ([`ScoreLoss`]);
//!   [`score`] holds the scorers.
//! * [`Optimizer`]s write new texts from feedback: [`TextualGradientDescent`], [`SampledMomentum`],
//!   [`GraphOptimizer`].
//! * [`engine`] has the clients of model servers, [`layer`] retry, rate limit, budget and the like, [`store`]
//!   caches and recordings.
//! * [`prompts`] lists the templates of every request.
//! * [`prelude`] has the names that most programs use. A glob import of both crates makes `Error` ambiguous: this
//!   crate's [`Error`] is what programs return, and `?` makes it of [`textgrad_core::Error`].
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `http` (default) | clients of model servers |
//! | `sim` | `sim`, a simulated policy, critic and reward model for tests and examples |
//! | `train` | `train`: data sets, minibatches, the trainer and its run directory |
//! | `progress` | progress bars of a training (with `train`) |
//! | `disk-cache` | the cache in an SQLite file |
//! | `local` | `local`: policies in the process, from GGUF files; needs cmake, a C++ compiler and libclang |
//! | `local-cuda`, `local-metal`, `local-vulkan` | the same on graphics processors |
//! | `local-reward` | `local`: reward models in the process, from safetensors |
//! | `chat-template` | `ChatTemplate`: conversations as the text that a model was trained on |
//! | `json-schema` | `check::JsonSchema`, a check that a text is JSON of a schema |
//! | `page` | the HTML page of a run log |
//! | `otel` | `telemetry`: spans of calls for OpenTelemetry, sent by OTLP |
//! | `cli` | the program `textgrad` |

mod algebra;
#[cfg(feature = "chat-template")]
mod chat_template;
pub mod check;
pub mod command;
#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "http")]
pub mod engine;
mod error;
mod function;
pub mod layer;
mod llm;
#[cfg(any(feature = "local", feature = "local-reward"))]
pub mod local;
mod loss;
mod optim;
pub mod prompts;
pub mod score;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
mod tags;
#[cfg(feature = "otel")]
pub mod telemetry;
#[cfg(feature = "train")]
pub mod train;
pub mod util;

pub use self::algebra::{LlmReduce, aggregate, concat, sum};
#[cfg(feature = "chat-template")]
pub use self::chat_template::{ChatTemplate, ChatTemplateError};
pub use self::error::Error;
pub use self::function::StringFn;
pub use self::llm::{FeedbackRequest, Field, LlmCall, LlmCallBuilder, LlmRequest, Turn};
pub use self::loss::{
    AllOf, ContrastiveLoss, ExampleLossFn, FirstFailing, ImageQaLoss, ListwiseLoss, Loss, LossFn,
    MultiFieldLoss, MultiFieldOver, MultipleChoiceLoss, ScoreLoss, TextLoss, WeightedSum, all_of,
    all_passed, example_loss_fn, first_failing, loss_fn, weighted_sum, weighted_sum_of,
    weighted_sum_worded,
};
pub use self::optim::{
    GraphOptimizer, GraphOptimizerBuilder, Optimizer, ParameterUpdate, Proposal, ProposalOutcome,
    Rejected, SampledMomentum, SampledMomentumBuilder, Selection, TextualGradientDescent,
    TextualGradientDescentBuilder, TrialParameter, UpdateOutcome, Violation, apply_edits,
};
pub use self::tags::{ExtractError, Tags};
/// Cancellation of work, from `tokio-util`: nothing new begins after it, waits end, and calls under way finish.
pub use tokio_util::sync::CancellationToken;

/// The names that most programs use, with those of [`textgrad_core`].
pub mod prelude {
    pub use textgrad_core::{
        Backward, Check, Engine, Gradients, Module, Parameter, Sampling, Score, Seed, Variable,
        async_trait, backward,
    };

    pub use crate::score::{Example, Scorer};
    pub use crate::{
        ContrastiveLoss, LlmCall, Loss, Optimizer, ScoreLoss, StringFn, Tags, TextLoss,
        TextualGradientDescent,
    };
}
