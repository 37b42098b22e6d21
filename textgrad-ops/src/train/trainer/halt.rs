//! Why a step does not come to its end.

use textgrad_core::ErrorKind;

use crate::error::Error;
use crate::train::record::Ended;

/// Why a step does not come to its end.
pub(super) enum Halt {
    /// The training is over.
    Ended(Ended),
    /// The training fails.
    Failed(Error),
}

/// Whether an engine's budget is used up.
pub(super) fn is_budget(error: &textgrad_core::Error) -> bool {
    error.engine().is_some_and(|engine| engine.kind() == ErrorKind::Budget)
}

/// Whether an example failed for want of an engine, which says nothing about the texts that were measured. A
/// request that the engine will not take, and an answer that it refuses to give, do say something: they are
/// those of the texts.
pub(super) fn is_lapse(error: &textgrad_core::Error) -> bool {
    error.engine().is_some_and(|engine| {
        engine.is_retryable()
            || !matches!(
                engine.kind(),
                ErrorKind::InvalidRequest | ErrorKind::Unsupported | ErrorKind::BadResponse
            )
    })
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        match error.engine() {
            Some(engine) if engine.kind() == ErrorKind::Budget => Self::Ended(Ended::Budget),
            _ => Self::Failed(error),
        }
    }
}

impl From<textgrad_core::Error> for Halt {
    fn from(error: textgrad_core::Error) -> Self {
        Error::from(error).into()
    }
}
