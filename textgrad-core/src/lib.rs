//! Automatic differentiation over text.
//!
//! A program of LLM calls is recorded as a graph of [`Variable`]s and [`Op`]s. A [`backward`] pass turns an
//! objective at its end into feedback in words, a *textual gradient*, for every text that may change.
//!
//! ```
//! use std::sync::Arc;
//! use textgrad_core::{
//!     BackwardCx, Feedback, Gradient, Inputs, Output, Parameter, apply_one, backward, op_fn,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // An op: what it computes, and what it says about its input when its result is not what it should be.
//! let polite = op_fn("politeness check", |inputs: Inputs| async move {
//!     let verdict = if inputs.text("letter")?.contains("please") { "polite" } else { "rude" };
//!     Ok(vec![Output::new(verdict, "verdict on the tone")])
//! })
//! .with_backward(|cx: BackwardCx| async move {
//!     let rude = cx.outputs()[0].value().as_text() == Some("rude");
//!     Ok(vec![rude.then(|| Gradient::from(Feedback::new("Say please.")))])
//! });
//!
//! let letter = Parameter::new("Send me the book.", "letter to a friend");
//! let verdict = apply_one(Arc::new(polite), [("letter", &letter)]).await?;
//! let gradients = backward(&verdict).await?;
//! assert_eq!(gradients.text(&letter), "Say please.");
//! # Ok::<(), textgrad_core::Error>(()) }).unwrap();
//! ```
//!
//! # The parts
//! * [`Variable`] is a node of the graph and never changes; [`Parameter`] holds the current leaf and can be
//!   assigned.
//! * [`Module`] groups parameters under names, to be saved, loaded and frozen.
//! * [`Op`] makes variables of variables, and feedback on inputs of feedback on outputs; [`op_fn`] makes one
//!   of closures, [`apply`] runs it, [`Error::to_variable`] makes feedback of its failure. `+` runs texts together.
//! * [`Backward`] runs a pass and returns [`Gradients`]; nothing on the variables is changed.
//! * [`Graph`] is traced on demand: order, depth, width, critical path, drawings; with the feature `page`,
//!   `Page` shows it in a browser.
//! * [`Engine`] is whatever answers a conversation. This crate knows no network and no provider.
//! * [`Check`] is what must hold of a text, [`Score`] the value of an objective.
//! * [`PromptPack`] holds the wording of every instruction that is sent.
//!
//! LLM calls, losses, optimizers and engines are in `textgrad-ops`.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `page` | `Page`, the JSON of a graph and differences by word |
//! | `test-util` | `testing::ScriptedEngine`, which follows a script and records the requests |

mod backward;
mod check;
mod debug;
mod engine;
mod error;
mod gradient;
mod graph;
mod op;
mod prompt;
mod score;
mod seed;
#[cfg(feature = "test-util")]
pub mod testing;
mod variable;
#[cfg(feature = "page")]
mod view;

/// The attribute of implementations of the traits with async functions, such as [`Op`] and [`Engine`].
pub use async_trait::async_trait;

pub use self::backward::{Backward, BackwardError, BackwardEvent, Observer, backward};
pub use self::check::{Check, CheckFn, check_fn};
pub use self::engine::{
    Choice, Engine, EngineError, EngineFn, EngineInfo, EngineStatus, ErrorKind, FinishReason,
    Format, FormatError, JsonSchema, Message, MessageRole, Part, Purpose, Request, Response,
    Sampling, TokenLogprob, Usage, engine_fn,
};
pub use self::error::{Error, catch_panic, catch_panic_async, describe};
pub use self::gradient::{
    Context, Deduplicate, Feedback, Gradient, GradientOf, Gradients, IncomingFeedback, KeepAll,
    Reduce, ReduceCx, ReduceFn, reduce_fn,
};
pub use self::graph::{Annotations, CriticalPath, Graph, GraphEdge, GraphNode, GraphView};
pub use self::op::{
    BackwardCx, Call, Concat, Input, Inputs, Layout, Op, OpFailure, OpFn, Output, Quote, apply,
    apply_one, op_fn,
};
pub use self::prompt::{
    PromptError, PromptModule, PromptPack, PromptTemplate, TemplateCheck, TemplateContext,
    TemplateSpec, section,
};
pub use self::score::Score;
pub use self::seed::Seed;
pub use self::variable::{
    Assignment, Image, ImageError, Member, Members, Module, Parameter, ParameterBuilder,
    ParameterState, Source, StateDict, Value, Variable, Version, truncate,
};
#[cfg(feature = "page")]
pub use self::view::{Page, PageCall, WordChange, WordChangeKind, word_changes};

/// The names that most programs use.
pub mod prelude {
    pub use crate::{
        Backward, BackwardCx, Check, Engine, Feedback, Gradient, Gradients, Graph, Inputs, Module,
        Op, Output, Parameter, Sampling, Score, Seed, Variable, apply, apply_one, async_trait,
        backward, op_fn,
    };
}
