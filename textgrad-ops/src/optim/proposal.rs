//! New texts that are not assigned yet.

use std::sync::Arc;

use textgrad_core::{Assignment, Parameter, Variable};

use super::update::Rewrite;
use crate::error::Error;

/// What an optimizer has to say about one parameter.
#[derive(Debug)]
pub struct ParameterUpdate {
    /// The parameter.
    pub parameter: Parameter,
    /// The leaf that the new texts were made from.
    pub base: Variable,
    /// The new texts, or why there are none.
    pub rewrite: Result<Rewrite, Arc<Error>>,
}

impl ParameterUpdate {
    fn assignment(&self) -> Result<Assignment, Error> {
        let first = self.rewrite.as_ref().ok().and_then(|rewrite| rewrite.candidates.first());
        match first.and_then(Variable::text) {
            Some(text) => Ok(Assignment {
                parameter: self.parameter.clone(),
                base: self.base.clone(),
                text: Arc::from(text),
            }),
            None => Err(Error::NoCandidate { role: self.parameter.role().to_string() }),
        }
    }
}

/// New texts for some parameters. Nothing is assigned until [`Proposal::apply`].
#[derive(Debug)]
pub struct Proposal {
    /// One entry per parameter that had feedback, in the order in which they were given.
    pub updates: Vec<ParameterUpdate>,
    /// Parameters without feedback: nothing was asked about them.
    pub unchanged: Vec<Parameter>,
}

impl Proposal {
    /// Assigns the first new text of every parameter: all of them or none.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if a parameter has no new text, [`Error::NoCandidate`] if all of its new texts
    /// were taken out, [`Error::Core`] if one was assigned since; then nothing is assigned, and the proposal
    /// still holds what there is.
    pub fn apply(&self) -> Result<(), Error> {
        let mut failures = self.updates.iter().filter_map(|update| update.rewrite.as_ref().err());
        if let Some(first) = failures.next() {
            return Err(Error::Incomplete {
                failed: 1 + failures.count(),
                total: self.updates.len(),
                source: Arc::clone(first),
            });
        }
        let assignments = self.updates.iter().map(ParameterUpdate::assignment);
        let assignments = assignments.collect::<Result<Vec<Assignment>, Error>>()?;
        Ok(Parameter::assign_all(&assignments)?)
    }
}
