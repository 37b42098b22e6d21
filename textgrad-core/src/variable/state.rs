//! Saved texts: the state of a parameter, and the state dictionary of a module.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Assignment, Parameter};
use crate::error::Error;

/// The texts of a module's parameters by name; see [`Module::state_dict`](super::Module::state_dict).
///
/// As JSON it is one object of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateDict(BTreeMap<String, Arc<str>>);

impl StateDict {
    pub(super) fn of(parameters: Vec<(String, Parameter)>) -> Self {
        Self(parameters.into_iter().map(|(name, parameter)| (name, parameter.text())).collect())
    }

    /// The text of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| &**text)
    }

    /// Sets the text of a name.
    pub fn insert(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) {
        self.0.insert(name.into(), text.into());
    }

    /// The names and texts, in alphabetical order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), &**text))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn assign(&self, parameters: Vec<(String, Parameter)>) -> Result<(), Error> {
        let missing =
            parameters.iter().map(|(name, _)| name).filter(|name| self.get(name).is_none());
        let missing: Vec<String> = missing.cloned().collect();
        let is_unknown = |name: &&str| !parameters.iter().any(|(own, _)| own == name);
        let unknown: Vec<String> =
            self.iter().map(|(name, _)| name).filter(is_unknown).map(ToOwned::to_owned).collect();
        let mut assignments: Vec<Assignment> = Vec::new();
        let mut contradicting = Vec::new();
        for (name, parameter) in &parameters {
            let Some(text) = self.0.get(name) else { continue };
            match assignments.iter().find(|known| known.parameter == *parameter) {
                Some(first) if first.text != *text => contradicting.push(name.clone()),
                Some(_) => {}
                None => assignments.push(Assignment {
                    base: parameter.variable(),
                    parameter: parameter.clone(),
                    text: Arc::clone(text),
                }),
            }
        }
        if !(missing.is_empty() && unknown.is_empty() && contradicting.is_empty()) {
            return Err(Error::StateDict { missing, unknown, contradicting });
        }
        assignments.retain(|assignment| assignment.base.text() != Some(&assignment.text));
        Parameter::assign_all(&assignments)
    }
}

/// All of a [`Parameter`](super::Parameter) that assignments change: its text, its version, its history.
///
/// # Examples
/// ```
/// use textgrad_core::Parameter;
///
/// let prompt = Parameter::new("Answer.", "system prompt");
/// prompt.set("Answer briefly.");
/// let saved = serde_json::to_string(&prompt.state()).unwrap();
///
/// let later = Parameter::new("Answer.", "system prompt");
/// later.restore(&serde_json::from_str(&saved).unwrap());
/// assert_eq!((later.text().as_ref(), later.version()), ("Answer briefly.", 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterState {
    /// The text.
    pub text: Arc<str>,
    /// How many times it was assigned.
    pub version: u64,
    /// Earlier versions, oldest first.
    pub history: Vec<Version>,
}

/// An earlier text of a [`Parameter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its number: 0 for the first, one more with every assignment.
    pub number: u64,
    /// The text.
    pub text: Arc<str>,
}
