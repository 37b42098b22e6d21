//! Optimizers: from feedback to new texts.

mod descent;
pub(crate) mod edits;
mod graph;
mod memory;
mod optimizer;
mod rules;
mod sampled;
mod selection;
mod shown;
mod update;

pub use self::descent::{TextualGradientDescent, TextualGradientDescentBuilder};
pub use self::edits::apply_edits;
pub use self::graph::{GraphOptimizer, GraphOptimizerBuilder};
pub use self::optimizer::{Optimizer, ParameterUpdate, Proposal, ProposalOutcome};
pub use self::rules::{Rejected, Violation};
pub use self::sampled::{SampledMomentum, SampledMomentumBuilder};
pub use self::selection::{Selection, TrialParameter};
pub use self::update::UpdateOutcome;
