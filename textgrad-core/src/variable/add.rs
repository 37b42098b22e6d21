//! `+` on variables.

use std::ops::Add;

use super::Variable;
use crate::error::Error;
use crate::op::Concat;

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
