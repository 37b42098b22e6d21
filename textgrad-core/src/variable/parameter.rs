//! Parameters: the texts that can be assigned.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{ParameterState, Variable, Version};
use crate::check::Check;
use crate::error::Error;

/// A text that may change: the only thing in the framework that can be assigned.
///
/// It holds the current leaf [`Variable`]. Assigning puts a *new* leaf in its place; a graph that was built
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
    state: RwLock<State>,
}

struct State {
    /// What its leaves are known by.
    identity: Arc<()>,
    variable: Variable,
    text: Arc<str>,
    frozen: bool,
    version: u64,
    history: VecDeque<Version>,
}

impl State {
    fn assign(&mut self, text: Arc<str>, role: &Arc<str>, history_limit: usize) {
        let old = std::mem::replace(&mut self.text, text);
        self.history.push_back(Version { number: self.version, text: old });
        while self.history.len() > history_limit {
            self.history.pop_front();
        }
        self.version += 1;
        self.replace_leaf(role);
    }

    /// Puts a new leaf of the current text in the old one's place.
    fn replace_leaf(&mut self, role: &Arc<str>) {
        let (text, role) = (Arc::clone(&self.text), Arc::clone(role));
        self.variable = Variable::leaf_of(&self.identity, text, role, !self.frozen);
    }
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
    pub fn from_variable(variable: &Variable) -> Result<Self, Error> {
        match variable.text() {
            Some(text) => Ok(Self::new(text, Arc::clone(variable.role()))),
            None => Err(Error::NotText {
                input: "parameter".to_owned(),
                role: variable.role().to_string(),
                got: variable.value().kind(),
            }),
        }
    }

    /// Whether the variable is a leaf of this parameter, current or replaced.
    pub(crate) fn owns(&self, variable: &Variable) -> bool {
        variable.is_leaf_of(&self.read().identity)
    }

    /// The current leaf, to build graphs with.
    #[must_use]
    pub fn variable(&self) -> Variable {
        self.read().variable.clone()
    }

    /// The current text.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.read().text)
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
            state.replace_leaf(&self.0.role);
        }
    }

    /// How many times it was assigned.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.read().version
    }

    /// Earlier versions, oldest first; at most as many as it was made to keep.
    #[must_use]
    pub fn history(&self) -> Vec<Version> {
        self.read().history.iter().cloned().collect()
    }

    /// All that assignments change, to be saved; see [`restore`](Self::restore).
    #[must_use]
    pub fn state(&self) -> ParameterState {
        let state = self.read();
        ParameterState {
            text: Arc::clone(&state.text),
            version: state.version,
            history: state.history.iter().cloned().collect(),
        }
    }

    /// Takes up what [`state`](Self::state) gave, its version among it, so that what depends on versions goes
    /// on as it would have. Unlike [`set`](Self::set) it is no assignment of its own.
    pub fn restore(&self, saved: &ParameterState) -> Variable {
        let mut state = self.write();
        state.text = Arc::clone(&saved.text);
        state.version = saved.version;
        let surplus = saved.history.len().saturating_sub(self.0.history_limit);
        state.history = saved.history.iter().skip(surplus).cloned().collect();
        state.replace_leaf(&self.0.role);
        state.variable.clone()
    }

    /// Assigns a new text and returns the new leaf.
    pub fn set(&self, text: impl Into<Arc<str>>) -> Variable {
        let mut state = self.write();
        state.assign(text.into(), &self.0.role, self.0.history_limit);
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
        ordered.sort_by_key(|assignment| assignment.parameter.address());
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
            let inner = &assignment.parameter.0;
            state.assign(Arc::clone(&assignment.text), &inner.role, inner.history_limit);
        }
        Ok(())
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
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
pub struct ParameterBuilder {
    text: Arc<str>,
    role: Arc<str>,
    history: usize,
    constraints: Vec<Arc<str>>,
    checks: Vec<Arc<dyn Check>>,
    frozen: bool,
}

impl ParameterBuilder {
    /// How many earlier versions are kept; default: [`Parameter::DEFAULT_HISTORY`].
    pub fn history(mut self, versions: usize) -> Self {
        self.history = versions;
        self
    }

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

    /// Frozen from the beginning; see [`Parameter::set_frozen`].
    pub fn frozen(mut self) -> Self {
        self.frozen = true;
        self
    }

    /// The parameter.
    #[must_use]
    pub fn build(self) -> Parameter {
        let identity = Arc::new(());
        let (text, role) = (Arc::clone(&self.text), Arc::clone(&self.role));
        let state = State {
            variable: Variable::leaf_of(&identity, text, role, !self.frozen),
            identity,
            text: self.text,
            frozen: self.frozen,
            version: 0,
            history: VecDeque::new(),
        };
        Parameter(Arc::new(Inner {
            role: self.role,
            history_limit: self.history,
            constraints: self.constraints,
            checks: self.checks,
            state: RwLock::new(state),
        }))
    }
}

impl fmt::Debug for ParameterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParameterBuilder")
            .field("role", &self.role)
            .field("constraints", &self.constraints)
            .field("checks", &self.checks.iter().map(|check| check.rule()).collect::<Vec<_>>())
            .finish_non_exhaustive()
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
            .field("version", &state.version)
            .field("text", &super::truncate(&state.text, 60))
            .finish()
    }
}

#[cfg(test)]
mod tests;
