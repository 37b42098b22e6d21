//! Test-time Preference Optimization: align answers while they are generated, without training.
//!
//! For a query: sample N answers, let a reward model name the best and the worst, ask the model why the one
//! is preferred (a textual loss), turn that into instructions (a textual gradient), rewrite the best (an
//! update), repeat D times, and return the best answer ever seen. The weights never change. The method is
//! that of Li et al., "Test-Time Preference Optimization", arXiv 2501.12895.
//!
//! ```
//! use std::sync::Arc;
//! use textgrad_ops::sim::Sim;
//! use tpo::{SimReward, Tpo};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! // A simulated model and reward model: nothing to install, nothing to pay.
//! let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward))
//!     .iterations(2)
//!     .samples(5)
//!     .build()?;
//! let aligned = tpo.align("How do I take care of a wooden table?").await?;
//! println!("{} (reward {:.2})", aligned.answer(), aligned.score());
//! # Ok::<(), tpo::Error>(()) }).unwrap();
//! ```
//!
//! # The parts
//! * [`Tpo`] searches one query and returns an [`Alignment`]: the answer, its [`Trajectory`], its graph.
//! * [`RewardModel`] judges: [`HttpReward`] behind vLLM, SGLang and others, [`reward_fn`] of a function.
//! * [`mod@search`] is open: methods, critiques, updates, pairs, pool policies and stop rules of your own.
//! * [`Batch`] searches many queries at once; with a [`Journal`](journal::Journal) it can be killed and
//!   continued without paying for anything twice.
//! * [`run::Run`] does what `tpo run` does: it searches a batch, journals it in a folder, and writes results and a
//!   [`Summary`]. [`input`] reads queries.
//! * [`mod@bench`] reads, writes and grades the benchmarks that the method was published with.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `cli` (default) | the `tpo` program, and the features below |
//! | `bench` | `bench`: the benchmarks that the method was published with |
//! | `o200k` | counts of o200k tokens in the files of Arena-Hard; not in `cli` |
//! | `tokenizer` | `HfTokenizer`: truncation by tokens of any `tokenizer.json` |
//! | `serve` | `serve`: a server with OpenAI's API in front of searches |
//! | `queue` | `queue`: one run over many machines, by a NATS server |
//! | `otel` | spans of runs, searches and calls for OpenTelemetry; not in `cli` |
//! | `local-reward` | `LocalReward`: reward models in the process, from safetensors; not in `cli` |
//! | `sim` | `SimReward`: the simulated reward model, and the simulation of `textgrad-ops` |
//! | `report` | `report`: figures over runs, as one HTML page, SVG and CSV; `study`: grids of runs |

mod batch;
#[cfg(feature = "bench")]
pub mod bench;
mod config;
mod error;
#[cfg(feature = "data")]
pub mod input;
pub mod journal;
pub mod prompts;
mod query;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "report")]
pub mod report;
mod reward;
pub mod run;
pub mod search;
#[cfg(feature = "serve")]
pub mod serve;
mod session;
#[cfg(any(feature = "queue", feature = "report"))]
mod shared_cache;
#[cfg_attr(
    not(feature = "report"),
    allow(dead_code, unreachable_pub, reason = "public as a part of `report`")
)]
mod stats;
#[cfg(feature = "report")]
pub mod study;
mod summary;
mod truncate;
mod util;

pub use self::batch::{Batch, BatchProgress, QueryOutcome};
pub use self::config::{
    Acceptance, EarlyStop, Mode, STOP_TEXTS, SearchBudget, StopReason, TpoConfig,
};
pub use self::error::Error;
pub use self::query::Query;
#[cfg(feature = "local-reward")]
pub use self::reward::LocalReward;
#[cfg(feature = "sim")]
pub use self::reward::SimReward;
pub use self::reward::{
    Combine, EngineScope, Ensemble, JudgeReward, JudgeRewardBuilder, Member, RewardInfo,
    RewardModel, ScorerReward, TruncatedReward, Verdict, reward_fn,
};
#[cfg(feature = "http")]
pub use self::reward::{
    DpoReward, HttpReward, HttpRewardBuilder, Likelihood, LikelihoodApi, LikelihoodBuilder,
    PpoReward, RewardApi,
};
pub use self::search::{
    AlignError, Alignment, Candidate, CandidateRecord, Comparison, IterationRecord, PairCx,
    PairSelection, Pairs, Pool, PurposeUsage, SearchEvent, Tpo, TpoBuilder, Trajectory,
    UsageRecord,
};
#[cfg(any(feature = "queue", feature = "report"))]
pub use self::shared_cache::SharedCache;
pub use self::summary::{QueueSummary, Summary, WorkerFigures};
#[cfg(feature = "tokenizer")]
pub use self::truncate::HfTokenizer;
pub use self::truncate::{Tokenizer, Truncation};
#[doc(inline)]
pub use textgrad_core::describe;
#[doc(inline)]
pub use textgrad_ops::CancellationToken;
#[cfg(any(feature = "http", feature = "local-reward"))]
#[doc(inline)]
pub use textgrad_ops::{ChatTemplate, ChatTemplateError};
