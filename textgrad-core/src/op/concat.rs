//! Putting texts together.

use std::collections::HashSet;
use std::fmt;
use std::ops::Add;
use std::sync::Arc;

use async_trait::async_trait;

use super::inputs::{Inputs, Output};
use super::{BackwardCx, Call, Op, OpFailure};
use crate::error::Error;
use crate::gradient::{Gradient, Reduce};
use crate::variable::Variable;

/// An op that puts texts together with a separator between them.
///
/// Backwards, what is said about the whole is said about every input, exactly once; if the whole is the
/// objective, so is each of its inputs. Constants get nothing.
///
/// `+` on [`Variable`]s is one without a separator.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{Concat, Variable, apply_one};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (a, b) = (Variable::constant("a", "letter"), Variable::constant("b", "letter"));
/// let list = apply_one(Arc::new(Concat::new("list", ", ")), [("first", &a), ("second", &b)]).await?;
/// assert_eq!(list.text(), Some("a, b"));
/// assert_eq!(&**list.role(), "list of: letter");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Concat {
    name: Arc<str>,
    separator: Arc<str>,
    /// What stands before the roles of the inputs, and between them, in the role of the whole.
    roles: (Arc<str>, &'static str),
    reduction: Option<Arc<dyn Reduce>>,
}

impl Concat {
    /// An op of this name. The role of the whole is `{name} of: ` and the roles of the texts, each once.
    pub fn new(name: impl Into<Arc<str>>, separator: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let roles = (format!("{name} of: ").into(), "; ");
        Self { name, separator: separator.into(), roles, reduction: None }
    }

    /// Merges all feedback that has passed through it, at every variable that more than one of its inputs
    /// depends on; see [`Op::reduction`].
    #[must_use]
    pub fn reduction(mut self, reduction: Arc<dyn Reduce>) -> Self {
        self.reduction = Some(reduction);
        self
    }

    /// `left + right`.
    pub(crate) fn plus(left: Variable, right: Variable) -> Result<Variable, Error> {
        let (name, separator) = ("+".into(), "".into());
        let op = Self { name, separator, roles: ("".into(), " and "), reduction: None };
        let inputs = Inputs::new([("left", left), ("right", right)]);
        match op.joined(&inputs) {
            Ok(output) => Ok(Call::record_one(Arc::new(op), inputs, output)),
            Err(error) => Err(Error::in_forward(&op.name, error)),
        }
    }

    fn joined(&self, inputs: &Inputs) -> Result<Output, Error> {
        let texts = inputs.texts()?;
        if texts.is_empty() {
            return Err(Error::op(format!("expected at least one text for the {}", self.name)));
        }
        Ok(Output::new(texts.join(&self.separator), self.role(inputs)))
    }

    /// The roles of the inputs, each once, those of a whole among them taken apart: else the role of a whole
    /// of wholes would grow with its depth, and double where a text goes into both sides.
    fn role(&self, inputs: &Inputs) -> String {
        let (before, between) = &self.roles;
        let mut seen = HashSet::new();
        let roles: Vec<&str> = inputs
            .iter()
            .map(|input| &**input.variable().role())
            .flat_map(|role| role.strip_prefix(&**before).unwrap_or(role).split(between))
            .filter(|role| seen.insert(*role))
            .collect();
        format!("{before}{}", roles.join(between))
    }
}

#[async_trait]
impl Op for Concat {
    fn name(&self) -> &str {
        &self.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![self.joined(inputs)?])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![Gradient::join(cx.gradients(0)); cx.inputs().len()])
    }

    fn reduction(&self) -> Option<Arc<dyn Reduce>> {
        self.reduction.clone()
    }
}

impl fmt::Debug for Concat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concat")
            .field("name", &self.name)
            .field("separator", &self.separator)
            .field("reduction", &self.reduction.as_ref().map(|reduce| reduce.name()))
            .finish()
    }
}

/// The texts of two variables run together, without anything between them.
///
/// Backwards, what is said about the whole is said about both, exactly once however deep sums are nested; if
/// the whole is the objective, so are both. Constants get nothing.
///
/// # Errors
/// [`Error::Forward`] if one of them holds an image.
///
/// # Examples
/// ```
/// use textgrad_core::{Gradient, Variable, backward};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (rules, task) = (Variable::differentiable("Be brief. ", "rules"), Variable::differentiable("Why?", "task"));
/// let prompt = (&rules + &task)?;
/// assert_eq!((prompt.text(), &**prompt.role()), (Some("Be brief. Why?"), "rules and task"));
/// let gradients = backward(&prompt).await?;
/// assert!(matches!(gradients.get(&rules), [Gradient::Objective]));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
impl Add for Variable {
    type Output = Result<Self, Error>;

    fn add(self, right: Self) -> Self::Output {
        Concat::plus(self, right)
    }
}

impl Add<&Self> for Variable {
    type Output = Result<Self, Error>;

    fn add(self, right: &Self) -> Self::Output {
        Concat::plus(self, right.clone())
    }
}

impl Add<Variable> for &Variable {
    type Output = Result<Variable, Error>;

    fn add(self, right: Variable) -> Self::Output {
        Concat::plus(self.clone(), right)
    }
}

impl Add for &Variable {
    type Output = Result<Variable, Error>;

    fn add(self, right: Self) -> Self::Output {
        Concat::plus(self.clone(), right.clone())
    }
}
