//! Reusable parts of a program, with named parameters.

mod state;

use std::fmt;

pub use self::state::StateDict;
use crate::error::Error;
use crate::variable::Parameter;

/// A member of a [`Module`]: a parameter of its own, or a module within it.
#[derive(Clone, Copy)]
pub enum Member<'a> {
    /// A text that may change.
    Parameter(&'a Parameter),
    /// A part with parameters of its own.
    Module(&'a dyn Module),
}

impl fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(parameter) => parameter.fmt(f),
            Self::Module(module) => f.debug_map().entries(module.members()).finish(),
        }
    }
}

impl<'a> From<&'a Parameter> for Member<'a> {
    fn from(parameter: &'a Parameter) -> Self {
        Self::Parameter(parameter)
    }
}

impl<'a, M: Module> From<&'a M> for Member<'a> {
    fn from(module: &'a M) -> Self {
        Self::Module(module)
    }
}

/// A reusable part of a program, with named parameters and modules within.
///
/// The names of parameters are paths: a parameter `system` of a module's member `writer` is
/// `writer.system`. Two members may share a parameter; it then has two names and is one text.
///
/// # Examples
/// ```
/// use textgrad_core::{Member, Module, Parameter};
///
/// struct Step { system: Parameter }
/// impl Module for Step {
///     fn members(&self) -> Vec<(&str, Member<'_>)> {
///         vec![("system", (&self.system).into())]
///     }
/// }
/// struct Chain { plan: Step, write: Step }
/// impl Module for Chain {
///     fn members(&self) -> Vec<(&str, Member<'_>)> {
///         vec![("plan", (&self.plan).into()), ("write", (&self.write).into())]
///     }
/// }
///
/// let step = |text: &str| Step { system: Parameter::new(text, "system prompt") };
/// let chain = Chain { plan: step("Make a plan."), write: step("Follow the plan.") };
/// let saved = serde_json::to_string(&chain.state_dict()?).unwrap();
///
/// chain.write.system.set("Follow the plan closely.");
/// chain.load_state_dict(&serde_json::from_str(&saved).unwrap())?;
/// assert_eq!(chain.write.system.text().as_ref(), "Follow the plan.");
/// let names: Vec<String> = chain.named_parameters()?.into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["plan.system", "write.system"]);
/// # Ok::<(), textgrad_core::Error>(())
/// ```
pub trait Module: Send + Sync {
    /// The members with their names, in a fixed order. A name must not be empty nor hold a dot.
    fn members(&self) -> Vec<(&str, Member<'_>)>;

    /// All parameters with their paths, those of the modules within among them. A shared one comes once per
    /// name.
    ///
    /// # Errors
    /// [`Error::MemberName`] if a name is empty, holds a dot, or occurs twice in one module.
    fn named_parameters(&self) -> Result<Vec<(String, Parameter)>, Error> {
        let mut found = Vec::new();
        collect("", self.members(), &mut found)?;
        Ok(found)
    }

    /// All parameters, each once, in the order of their first names.
    ///
    /// # Errors
    /// Those of [`named_parameters`](Self::named_parameters).
    fn parameters(&self) -> Result<Vec<Parameter>, Error> {
        let mut unique: Vec<Parameter> = Vec::new();
        for (_, parameter) in self.named_parameters()? {
            if !unique.contains(&parameter) {
                unique.push(parameter);
            }
        }
        Ok(unique)
    }

    /// The texts of all parameters by name.
    ///
    /// # Errors
    /// Those of [`named_parameters`](Self::named_parameters).
    fn state_dict(&self) -> Result<StateDict, Error> {
        Ok(StateDict::of(self.named_parameters()?))
    }

    /// Assigns the texts of all parameters, or none of them. One that has its text already is left alone, so
    /// its version stays.
    ///
    /// # Errors
    /// [`Error::StateDict`] if a parameter has no text there, a text has no parameter, or a shared parameter
    /// has two texts; those of [`Parameter::assign_all`].
    fn load_state_dict(&self, state: &StateDict) -> Result<(), Error> {
        state.assign(self.named_parameters()?)
    }

    /// Freezes all parameters, or thaws them; see [`Parameter::set_frozen`].
    ///
    /// # Errors
    /// Those of [`named_parameters`](Self::named_parameters).
    fn set_frozen(&self, frozen: bool) -> Result<(), Error> {
        for (_, parameter) in self.named_parameters()? {
            parameter.set_frozen(frozen);
        }
        Ok(())
    }
}

fn collect(
    path: &str,
    members: Vec<(&str, Member<'_>)>,
    found: &mut Vec<(String, Parameter)>,
) -> Result<(), Error> {
    let mut seen: Vec<&str> = Vec::new();
    for (name, member) in members {
        if name.is_empty() || name.contains('.') || seen.contains(&name) {
            return Err(Error::MemberName { module: path.to_owned(), name: name.to_owned() });
        }
        seen.push(name);
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match member {
            Member::Parameter(parameter) => found.push((path, parameter.clone())),
            Member::Module(module) => collect(&path, module.members(), found)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
