//! A parameter as it is saved.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Version;

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
