//! Parameters: the texts that can be assigned.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use derive_setters::Setters;
use serde::{Deserialize, Serialize};

use super::{Variable, truncate};
use crate::check::Check;
use crate::error::Error;

/// A text that may change: the only thing in the framework that can be assigned.
///
/// It holds the current leaf [`Variable`]. Assigning replaces it by a *new* leaf; a graph that was built
/// before still sees the text as it was. Clones share the parameter.
///
/// # Examples
/// ```
/// use textgrad_core::Parameter;
///
/// let prompt = Parameter::new("Answer the question.", "system prompt");
/// let before = prompt.variable();
/// prompt.set("Answer the question in one sentence.");
/// assert_eq!(before.text(), Some("Answer the question."));
/// assert_eq!(prompt.text().as_ref(), "Answer the question in one sentence.");
/// assert_eq!(prompt.version(), 1);
/// assert_eq!(prompt.history()[0].text.as_ref(), "Answer the question.");
/// ```
#[derive(Clone)]
pub struct Parameter(Arc<Inner>);

struct Inner {
    role: Arc<str>,
    history_limit: usize,
    constraints: Vec<Arc<str>>,
    checks: Vec<Arc<dyn Check>>,
    /// Identifies the leaves of this parameter.
    identity: Arc<()>,
    state: RwLock<State>,
}

struct State {
    variable: Variable,
    frozen: bool,
    saved: ParameterState,
}

impl Inner {
    fn assign(&self, state: &mut State, text: Arc<str>) {
        let old = std::mem::replace(&mut state.saved.text, text);
        state.saved.history.push(Version { number: state.saved.version, text: old });
        state.saved.version += 1;
        self.limit_history(state);
        self.replace_leaf(state);
    }

    fn limit_history(&self, state: &mut State) {
        let surplus = state.saved.history.len().saturating_sub(self.history_limit);
        state.saved.history.drain(..surplus);
    }

    /// Makes a new leaf of the current text.
    fn replace_leaf(&self, state: &mut State) {
        let text = Arc::clone(&state.saved.text);
        let (role, identity) = (Arc::clone(&self.role), Arc::clone(&self.identity));
        state.variable = Variable::leaf(text.into(), role, !state.frozen, Some(identity));
    }
}

/// All of a [`Parameter`] that assignments change: its text, its version, its history.
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

/// A new text for a parameter, for [`Parameter::assign_all`].
#[derive(Debug, Clone)]
pub struct Assignment {
    /// What is assigned.
    pub parameter: Parameter,
    /// The leaf that the new text was made from: the assignment is refused if it is no longer current.
    pub base: Variable,
    /// The new text.
    pub text: Arc<str>,
}

impl Parameter {
    /// Default number of earlier versions that are kept.
    pub const DEFAULT_HISTORY: usize = 16;

    /// A parameter with its first text and its role in words.
    pub fn new(text: impl Into<Arc<str>>, role: impl Into<Arc<str>>) -> Self {
        Self::builder(text, role).build()
    }

    /// A parameter with rules for its new texts.
    pub fn builder(text: impl Into<Arc<str>>, role: impl Into<Arc<str>>) -> ParameterBuilder {
        ParameterBuilder {
            text: text.into(),
            role: role.into(),
            history: Self::DEFAULT_HISTORY,
            constraints: Vec::new(),
            checks: Vec::new(),
            frozen: false,
        }
    }

    /// A parameter with the text and the role of a variable.
    ///
    /// # Errors
    /// [`Error::NotText`] if the variable holds an image.
    pub fn from_variable(variable: impl Into<Variable>) -> Result<Self, Error> {
        let variable = variable.into();
        Ok(Self::new(variable.require_text("parameter")?, Arc::clone(variable.role())))
    }

    /// Identifies the leaves of this parameter, current and replaced; see [`Variable::parameter`].
    pub(crate) fn identity(&self) -> &Arc<()> {
        &self.0.identity
    }

    /// The current leaf, to build graphs with.
    #[must_use]
    pub fn variable(&self) -> Variable {
        self.read().variable.clone()
    }

    /// The current text.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.read().saved.text)
    }

    /// What the text is for, in words.
    #[must_use]
    pub fn role(&self) -> &Arc<str> {
        &self.0.role
    }

    /// What its new texts must obey, in words: optimizers tell the model so.
    #[must_use]
    pub fn constraints(&self) -> &[Arc<str>] {
        &self.0.constraints
    }

    /// What its new texts must obey and is checked: an optimizer asks again for one that does not.
    #[must_use]
    pub fn checks(&self) -> &[Arc<dyn Check>] {
        &self.0.checks
    }

    /// Whether it is frozen: what is built of it asks for no feedback on it.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.read().frozen
    }

    /// Freezes it, or thaws it: from now on its leaf is a constant, or asks for feedback again. The text and
    /// its version stay. A graph that was built before is not changed, but what is proposed from feedback on
    /// it is refused as stale.
    pub fn set_frozen(&self, frozen: bool) {
        let mut state = self.write();
        if state.frozen != frozen {
            state.frozen = frozen;
            self.0.replace_leaf(&mut state);
        }
    }

    /// How many times it was assigned.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.read().saved.version
    }

    /// Earlier versions, oldest first; at most as many as it was made to keep.
    #[must_use]
    pub fn history(&self) -> Vec<Version> {
        self.read().saved.history.clone()
    }

    /// All that assignments change, to be saved; see [`restore`](Self::restore).
    #[must_use]
    pub fn state(&self) -> ParameterState {
        self.read().saved.clone()
    }

    /// Takes up what [`state`](Self::state) gave, its version among it, so that what depends on versions goes
    /// on as it would have. Unlike [`set`](Self::set) it is no assignment of its own.
    pub fn restore(&self, saved: &ParameterState) -> Variable {
        let mut state = self.write();
        state.saved = saved.clone();
        self.0.limit_history(&mut state);
        self.0.replace_leaf(&mut state);
        state.variable.clone()
    }

    /// Assigns a new text and returns the new leaf.
    pub fn set(&self, text: impl Into<Arc<str>>) -> Variable {
        let mut state = self.write();
        self.0.assign(&mut state, text.into());
        state.variable.clone()
    }

    /// Assigns all of these, or none.
    ///
    /// # Errors
    /// [`Error::StaleParameter`] if a parameter was assigned since its base was current, and
    /// [`Error::RepeatedParameter`] if one occurs twice; nothing is assigned then.
    pub fn assign_all(assignments: &[Assignment]) -> Result<(), Error> {
        // Locks are taken in one order, so that two callers cannot wait for each other.
        let mut ordered: Vec<&Assignment> = assignments.iter().collect();
        ordered.sort_by_key(|assignment| Arc::as_ptr(&assignment.parameter.0).addr());
        for pair in ordered.windows(2) {
            if let [first, second] = pair
                && first.parameter == second.parameter
            {
                return Err(Error::RepeatedParameter { role: first.parameter.role().to_string() });
            }
        }
        let mut locked: Vec<(&Assignment, RwLockWriteGuard<'_, State>)> =
            ordered.into_iter().map(|a| (a, a.parameter.write())).collect();
        if let Some((stale, _)) = locked.iter().find(|(a, state)| state.variable != a.base) {
            return Err(Error::StaleParameter { role: stale.parameter.role().to_string() });
        }
        for (assignment, state) in &mut locked {
            assignment.parameter.0.assign(state, Arc::clone(&assignment.text));
        }
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // No write can panic halfway, so a state behind a poisoned lock is whole.
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settings of a [`Parameter`]; see [`Parameter::builder`].
#[must_use = "a builder does nothing until it builds"]
#[derive(Debug, Setters)]
#[setters(generate = false)]
pub struct ParameterBuilder {
    text: Arc<str>,
    role: Arc<str>,
    /// How many earlier versions are kept; default: [`Parameter::DEFAULT_HISTORY`].
    #[setters(generate)]
    history: usize,
    constraints: Vec<Arc<str>>,
    checks: Vec<Arc<dyn Check>>,
    /// Frozen from the beginning; see [`Parameter::set_frozen`].
    #[setters(generate, bool)]
    frozen: bool,
}

impl ParameterBuilder {
    /// Something that new texts must obey, in words.
    pub fn constraint(mut self, constraint: impl Into<Arc<str>>) -> Self {
        self.constraints.push(constraint.into());
        self
    }

    /// Something that new texts must obey and that is checked. The first text, and what
    /// [`Parameter::set`] is given, are the caller's own and not checked.
    pub fn check(mut self, check: impl Check + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// The parameter.
    #[must_use]
    pub fn build(self) -> Parameter {
        let identity = Arc::new(());
        let value = Arc::clone(&self.text).into();
        let role = Arc::clone(&self.role);
        let variable = Variable::leaf(value, role, !self.frozen, Some(Arc::clone(&identity)));
        let saved = ParameterState { text: self.text, version: 0, history: Vec::new() };
        Parameter(Arc::new(Inner {
            role: self.role,
            history_limit: self.history,
            constraints: self.constraints,
            checks: self.checks,
            identity,
            state: RwLock::new(State { variable, frozen: self.frozen, saved }),
        }))
    }
}

impl From<&Parameter> for Variable {
    fn from(parameter: &Parameter) -> Self {
        parameter.variable()
    }
}

/// The current text.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Parameter {}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.read();
        f.debug_struct("Parameter")
            .field("role", &self.0.role)
            .field("version", &state.saved.version)
            .field("text", &truncate(&state.saved.text, 60))
            .finish()
    }
}

#[cfg(test)]
mod tests;
