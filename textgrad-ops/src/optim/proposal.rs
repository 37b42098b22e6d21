//! New texts that are not assigned yet.

use std::sync::Arc;

use textgrad_core::{Assignment, Parameter, Variable};

use super::update::{Rejected, UpdateOutcome};
use crate::error::Error;

/// What an optimizer has to say about one parameter.
#[derive(Debug)]
pub struct ParameterUpdate {
    /// The parameter.
    pub parameter: Parameter,
    /// The leaf that the new texts take the place of: the one that was current when they were asked for.
    pub base: Variable,
    /// The new texts, or why there are none.
    pub rewrite: Result<UpdateOutcome, Arc<Error>>,
}

impl ParameterUpdate {
    /// Whether the parameter keeps its text because every new one breaks a rule that is checked
    /// ([`Error::Violations`]). It does not keep the others of the proposal from being assigned: the model did
    /// answer, so this is no failure, and the step of the other parameters is not lost.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self.rewrite.as_ref().map_err(|error| &**error), Err(Error::Violations { .. }))
    }

    /// The answers that could not be used, in order, with what was wrong with each; where the parameter is
    /// [kept](Self::is_kept), those are all that came.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        match self.rewrite.as_ref().map_err(|error| &**error) {
            Ok(rewrite) => &rewrite.rejected,
            Err(Error::Violations { rejected, .. }) => rejected,
            Err(_) => &[],
        }
    }

    fn assignment(&self) -> Result<Assignment, Error> {
        let first = self.rewrite.as_ref().ok().and_then(|rewrite| rewrite.candidates.first());
        match first.and_then(Variable::text) {
            Some(text) => Ok(self.assign(text)),
            None => Err(Error::NoCandidate { role: self.parameter.role().to_string() }),
        }
    }

    /// The assignment of one of the texts.
    pub(super) fn assign(&self, text: &str) -> Assignment {
        Assignment {
            parameter: self.parameter.clone(),
            base: self.base.clone(),
            text: Arc::from(text),
        }
    }
}

/// New texts for some parameters. Nothing is assigned until [`Proposal::apply`].
#[derive(Debug)]
pub struct Proposal {
    /// One entry per parameter that was asked about, in the order in which they were given.
    pub updates: Vec<ParameterUpdate>,
    /// Parameters that nothing was asked about or proposed for, such as those without feedback.
    pub unchanged: Vec<Parameter>,
}

impl Proposal {
    /// Assigns the first new text of every parameter: all of them or none. A parameter that is
    /// [kept](ParameterUpdate::is_kept) is left as it is and is no failure; if all of them are, nothing is
    /// assigned, and that is none either.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if a parameter has no new text for another reason, [`Error::NoCandidate`] if all
    /// of its new texts were taken out, [`Error::Core`] if one was assigned since; then nothing is assigned,
    /// and the proposal still holds what there is.
    pub fn apply(&self) -> Result<(), Error> {
        let assignments = self.new_texts()?.into_iter().map(ParameterUpdate::assignment);
        let assignments = assignments.collect::<Result<Vec<Assignment>, Error>>()?;
        Ok(Parameter::assign_all(&assignments)?)
    }

    /// The updates that have new texts.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if one has none and is not kept.
    pub(super) fn new_texts(&self) -> Result<Vec<&ParameterUpdate>, Error> {
        let (kept, asked): (Vec<&ParameterUpdate>, Vec<&ParameterUpdate>) =
            self.updates.iter().partition(|update| update.is_kept());
        let mut failures = asked.iter().filter_map(|update| update.rewrite.as_ref().err());
        if let Some(first) = failures.next() {
            return Err(Error::Incomplete {
                failed: 1 + failures.count(),
                total: kept.len() + asked.len(),
                source: Arc::clone(first),
            });
        }
        Ok(asked)
    }
}

/// Refuses a parameter that occurs twice.
pub(super) fn refuse_repeated(parameters: &[&Parameter]) -> Result<(), Error> {
    for (place, parameter) in parameters.iter().enumerate() {
        if parameters.iter().take(place).any(|known| known == parameter) {
            let role = parameter.role().to_string();
            return Err(textgrad_core::Error::RepeatedParameter { role }.into());
        }
    }
    Ok(())
}
