//! Watching a pass.

use crate::error::Error;
use crate::op::Call;
use crate::variable::Variable;

/// Something that happened in a backward pass.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackwardEvent<'a> {
    /// A call is asked what to say about its inputs.
    CallStarted {
        /// The call.
        call: &'a Call,
    },
    /// A call has answered.
    CallFinished {
        /// The call.
        call: &'a Call,
        /// For how many of its inputs it had something to say.
        gradients: usize,
    },
    /// What reached a variable is being merged.
    ReduceStarted {
        /// The variable.
        variable: &'a Variable,
        /// How many feedbacks are merged.
        feedback: usize,
    },
    /// Something went wrong; nothing new is started from here on.
    Failed {
        /// What.
        error: &'a Error,
    },
}

/// Is told what happens in a backward pass. Called from within the pass: return quickly.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &BackwardEvent<'_>);
}

impl<F: Fn(&BackwardEvent<'_>) + Send + Sync> Observer for F {
    fn event(&self, event: &BackwardEvent<'_>) {
        self(event);
    }
}
