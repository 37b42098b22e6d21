//! Texts to be tried without being assigned.

use std::sync::Arc;

use textgrad_core::{Module, Parameter, StateDict, Variable};

/// New texts for some parameters, to be tried without being assigned.
///
/// A program is tried with them if it is built of [`variable`](Self::variable)s where it else would take
/// [`Parameter::variable`]; or, for a [`Module`], on a copy of it that [`state_dict`](Self::state_dict) is
/// loaded into. Cheap to clone.
///
/// # Examples
/// ```
/// use textgrad_core::{Parameter, Variable};
/// use textgrad_ops::Trial;
///
/// // The program, as a function of the text that may change.
/// fn program(prompt: &Variable) -> usize {
///     prompt.text().unwrap_or_default().len()
/// }
///
/// let prompt = Parameter::new("Answer.", "system prompt");
/// let trial = Trial::new([(&prompt, "Answer in verse.")]);
/// assert_eq!(program(&prompt.variable()), 7);
/// assert_eq!(program(&trial.variable(&prompt)), 16);
/// assert_eq!(prompt.text().as_ref(), "Answer.");
/// ```
#[derive(Debug, Clone)]
pub struct Trial(Arc<[(Parameter, Arc<str>)]>);

impl Trial {
    /// These texts for these parameters.
    pub fn new<'a, T: Into<Arc<str>>>(texts: impl IntoIterator<Item = (&'a Parameter, T)>) -> Self {
        let texts = texts.into_iter();
        Self(texts.map(|(parameter, text)| (parameter.clone(), text.into())).collect())
    }

    /// The text to try for a parameter; the one that it has, if there is no other.
    #[must_use]
    pub fn text(&self, parameter: &Parameter) -> Arc<str> {
        let own = self.iter().find(|(known, _)| *known == parameter);
        own.map_or_else(|| parameter.text(), |(_, text)| Arc::clone(text))
    }

    /// The same as a constant with the parameter's role.
    #[must_use]
    pub fn variable(&self, parameter: &Parameter) -> Variable {
        Variable::constant(self.text(parameter), Arc::clone(parameter.role()))
    }

    /// The texts of a module's parameters, these in the place of those that they have: for a copy of the
    /// module, by [`Module::load_state_dict`].
    ///
    /// # Errors
    /// Those of [`Module::named_parameters`].
    pub fn state_dict(&self, module: &dyn Module) -> Result<StateDict, textgrad_core::Error> {
        let mut state = StateDict::default();
        for (name, parameter) in module.named_parameters()? {
            state.insert(name, self.text(&parameter));
        }
        Ok(state)
    }

    /// The parameters with their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&Parameter, &Arc<str>)> {
        self.0.iter().map(|(parameter, text)| (parameter, text))
    }

    /// Whether another tries the same texts for the same parameters, in the same order.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
