//! That a program could not be run, as ops and evaluators say it.

use textgrad_core::Error as CoreError;

use crate::error::Error;

/// The failure of a run, in the words of the core.
pub(crate) fn could_not_run(error: Error) -> CoreError {
    match error {
        Error::Command { program, source } => {
            CoreError::op_caused_by(format!("the program {program:?} could not be run"), source)
        }
        error => CoreError::op_caused_by("the program could not be run", error),
    }
}
