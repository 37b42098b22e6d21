//! Inputs and outputs of ops.

use std::sync::Arc;

use derive_setters::Setters;

use crate::error::Error;
use crate::score::Score;
use crate::variable::{Image, Value, Variable};

/// A named input of a call.
#[derive(Debug, Clone)]
pub struct Input {
    name: Arc<str>,
    variable: Variable,
}

impl Input {
    /// The argument's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The variable that was given for it.
    #[must_use]
    pub fn variable(&self) -> &Variable {
        &self.variable
    }
}

/// The inputs of a call, in order. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inputs(Arc<Vec<Input>>);

impl Inputs {
    /// Inputs of these names and variables or parameters.
    pub fn new<N: Into<Arc<str>>, V: Into<Variable>>(
        inputs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let inputs = inputs.into_iter();
        let inputs = inputs.map(|(name, of)| Input { name: name.into(), variable: of.into() });
        Self(Arc::new(inputs.collect()))
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

    /// The inputs, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Input> {
        self.0.iter()
    }

    /// The input at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&Input> {
        self.0.get(position)
    }

    /// The first input of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Variable> {
        self.iter().find(|input| &*input.name == name).map(Input::variable)
    }

    /// The first input of a name.
    ///
    /// # Errors
    /// [`Error::MissingInput`], which names those that there are.
    pub fn named(&self, name: &str) -> Result<&Variable, Error> {
        self.find(name).ok_or_else(|| Error::MissingInput {
            expected: name.to_owned(),
            got: self.iter().map(|input| input.name.to_string()).collect(),
        })
    }

    /// The text of the first input of a name.
    ///
    /// # Errors
    /// [`Error::MissingInput`], or [`Error::NotText`] if it holds an image.
    pub fn text(&self, name: &str) -> Result<&str, Error> {
        self.named(name)?.require_text(name)
    }

    /// The image of the first input of a name.
    ///
    /// # Errors
    /// [`Error::MissingInput`], or [`Error::NotImage`] if it holds text.
    pub fn image(&self, name: &str) -> Result<&Image, Error> {
        let variable = self.named(name)?;
        variable.value().as_image().ok_or_else(|| Error::NotImage {
            input: name.to_owned(),
            role: variable.role().to_string(),
            got: variable.value().kind(),
        })
    }

    /// The texts of all inputs, in order.
    ///
    /// # Errors
    /// [`Error::NotText`] if one holds an image.
    pub fn texts(&self) -> Result<Vec<&str>, Error> {
        self.iter().map(|input| input.variable.require_text(&input.name)).collect()
    }
}

impl<'a> IntoIterator for &'a Inputs {
    type Item = &'a Input;
    type IntoIter = std::slice::Iter<'a, Input>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Of names and variables, or of names and parameters.
impl<N: Into<Arc<str>>, V: Into<Variable>, const K: usize> From<[(N, V); K]> for Inputs {
    fn from(inputs: [(N, V); K]) -> Self {
        Self::new(inputs)
    }
}

impl<N: Into<Arc<str>>, V: Into<Variable>> From<Vec<(N, V)>> for Inputs {
    fn from(inputs: Vec<(N, V)>) -> Self {
        Self::new(inputs)
    }
}

impl<N: Into<Arc<str>>, V: Into<Variable>> FromIterator<(N, V)> for Inputs {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(inputs: I) -> Self {
        Self::new(inputs)
    }
}

/// A value that an op made.
#[derive(Debug, Clone, Setters)]
#[setters(generate = false, prefix = "with_", strip_option)]
pub struct Output {
    value: Value,
    role: Arc<str>,
    /// Sets whether the variable requires a gradient, whatever the inputs say: `false` ends every backward pass
    /// here, `true` asks for feedback here although nothing before it does.
    #[setters(generate)]
    requires_grad: Option<bool>,
    /// Gives it a value as an objective; see [`Variable::score`].
    #[setters(generate, into)]
    score: Option<Score>,
}

impl Output {
    /// A value and what it is for, in words. It requires a gradient if an input of the call does.
    pub fn new(value: impl Into<Value>, role: impl Into<Arc<str>>) -> Self {
        Self { value: value.into(), role: role.into(), requires_grad: None, score: None }
    }

    /// Its value as an objective, if it has one.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        self.score
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The role in words.
    #[must_use]
    pub fn role(&self) -> &Arc<str> {
        &self.role
    }

    /// Whether every backward pass ends here.
    pub(crate) fn is_closed(&self) -> bool {
        self.requires_grad == Some(false)
    }

    pub(super) fn requires_grad(&self, any_input: bool) -> bool {
        matches!(self.value, Value::Text(_)) && self.requires_grad.unwrap_or(any_input)
    }
}
