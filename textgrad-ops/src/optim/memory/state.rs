//! A memory as JSON, and back.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::Parameter;

use super::{Memory, Slot, Step, Versions};
use crate::error::Error;
use crate::optim::proposal::refuse_repeated;

/// The format that is written.
const FORMAT: u32 = 1;
const KIND: &str = "textual gradient descent";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    optimizer: String,
    format: u32,
    parameters: Vec<ParameterState>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterState {
    role: String,
    version: u64,
    steps: Vec<Step>,
}

impl Memory {
    /// All of it, the parameters in the order in which they came.
    pub(crate) fn to_json(&self) -> Json {
        let parameters = self.slots.iter().map(|slot| ParameterState {
            role: slot.parameter.role().to_string(),
            version: slot.version(),
            steps: slot.steps.iter().cloned().collect(),
        });
        let state =
            State { optimizer: KIND.to_owned(), format: FORMAT, parameters: parameters.collect() };
        // Texts and numbers only: nothing in it can fail to be JSON.
        serde_json::to_value(state).unwrap_or_default()
    }

    /// What was saved, for these parameters in the same order; of the steps of each, the last `limit`.
    pub(crate) fn from_json(
        parameters: &[Parameter],
        state: &Json,
        limit: usize,
    ) -> Result<Self, Error> {
        let wrong = |expected: String| Error::State { expected, got: state.to_string() };
        let saved = State::deserialize(state)
            .map_err(|error| wrong(format!("an object of {KIND:?}; {error}")))?;
        if (saved.optimizer.as_str(), saved.format) != (KIND, FORMAT) {
            return Err(wrong(format!("{KIND:?} in format {FORMAT}")));
        }
        matched(parameters, saved.parameters.iter().map(|saved| saved.role.as_str()), state)?;
        let mut memory = Self::default();
        let mut saved = saved.parameters.into_iter();
        for parameter in parameters {
            let (steps, versions) = match saved.next() {
                Some(saved) => (saved.steps.into(), Versions::Saved(saved.version)),
                None => (Default::default(), Versions::Ahead(0)),
            };
            let mut slot = Slot::new(parameter.clone(), steps, versions);
            while slot.steps.len() > limit {
                slot.steps.pop_front();
            }
            memory.slots.push(slot);
        }
        Ok(memory)
    }
}

/// Refuses parameters that are not those of a state: it is by position that they are told apart, and roles
/// are what shows that positions have changed. Parameters that are new stand behind those of the state.
pub(crate) fn matched<'a>(
    parameters: &[Parameter],
    roles: impl Iterator<Item = &'a str>,
    state: &Json,
) -> Result<(), Error> {
    refuse_repeated(&parameters.iter().collect::<Vec<_>>())?;
    let mut given = parameters.iter().map(|parameter| &**parameter.role());
    for (place, role) in roles.enumerate() {
        let given = given.next();
        if given != Some(role) {
            let found = given.map_or("there is none".to_owned(), |role| format!("it is {role:?}"));
            return Err(Error::State {
                expected: format!(
                    "of parameters in the order in which they were first proposed for; parameter {place} has the role {role:?} there, and {found} here"
                ),
                got: state.to_string(),
            });
        }
    }
    Ok(())
}
