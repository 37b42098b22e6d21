//! Optimizers: from feedback to new texts.

mod descent;
mod graph;
mod memory;
mod optimizer;
mod proposal;
mod rules;
mod sampled;
mod selection;
mod tags;
mod update;

pub use self::descent::{TextualGradientDescent, TextualGradientDescentBuilder};
pub use self::graph::{GraphOptimizer, GraphOptimizerBuilder};
pub use self::optimizer::{Optimizer, ProposalOutcome};
pub use self::proposal::{ParameterUpdate, Proposal};
pub use self::rules::Violation;
pub use self::sampled::{SampledMomentum, SampledMomentumBuilder};
pub use self::selection::{Selection, TrialParameter};
pub use self::tags::{ExtractError, Tags};
pub use self::update::{Rejected, UpdateOutcome};
