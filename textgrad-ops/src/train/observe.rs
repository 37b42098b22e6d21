//! Watching a training.

use strum::IntoStaticStr;
use textgrad_core::Error;

use super::record::{EndReason, Evaluation, StepRecord};
use crate::optim::Proposal;

/// What an example is worked on for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// A step.
    Train,
    /// An evaluation on the validation set.
    Validation,
    /// An evaluation on the test set.
    Test,
}

impl Phase {
    /// Its name in files, seeds and progress: `train`, `validation`, `test`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Something that happened in a training.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrainEvent<'a> {
    /// It begins, or goes on.
    Began {
        /// How many steps there will be at most.
        steps: usize,
        /// How many were made before.
        finished: usize,
    },
    /// A step begins.
    StepBegun {
        /// Its number, from 1.
        step: usize,
        /// The epoch, from 1.
        epoch: usize,
        /// How many examples it has.
        examples: usize,
    },
    /// A set is about to be evaluated.
    EvaluationBegun {
        /// Which.
        phase: Phase,
        /// How many examples it has.
        examples: usize,
    },
    /// An example is done. Examples come in the order in which they are done, not in their own.
    ExampleDone {
        /// What for.
        phase: Phase,
        /// Its id.
        id: &'a str,
        /// Its score, if it has one.
        score: Option<f64>,
        /// What went wrong.
        error: Option<&'a Error>,
    },
    /// A backward pass begins.
    BackwardBegun,
    /// The optimizer is asked for new texts.
    ProposalBegun,
    /// The optimizer has proposed new texts.
    Proposed {
        /// What.
        proposal: &'a Proposal,
    },
    /// A set was evaluated, or the same texts had been before.
    Evaluated {
        /// Which.
        phase: Phase,
        /// How good the texts are.
        evaluation: &'a Evaluation,
        /// Whether this was known from before.
        known: bool,
    },
    /// A step is done, and saved if there is a run folder.
    StepDone {
        /// What became of it.
        record: &'a StepRecord,
    },
    /// It ended; `None` if it failed.
    Ended {
        /// Why.
        ended: Option<EndReason>,
    },
}

/// Is told what happens in a training. Called from within it: return quickly.
pub trait TrainObserver: Send + Sync {
    /// Something happened.
    fn event(&self, event: &TrainEvent<'_>);
}

textgrad_core::debug_by!(dyn TrainObserver);

impl<F: Fn(&TrainEvent<'_>) + Send + Sync> TrainObserver for F {
    fn event(&self, event: &TrainEvent<'_>) {
        self(event);
    }
}
