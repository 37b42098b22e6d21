//! Reusable parts of a program, with named parameters, and their texts by name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Assignment, Parameter};
use crate::error::Error;

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

/// The members of a [`Module`] with their names, which may be generated: `(format!("step{i}").into(), step.into())`.
pub type Members<'a> = Vec<(Cow<'a, str>, Member<'a>)>;

/// A reusable part of a program, with named parameters and modules within.
///
/// The names of parameters are paths: a parameter `system` of a module's member `writer` is
/// `writer.system`. Two members may share a parameter; it then has two names and is one text.
///
/// # Examples
/// ```
/// use textgrad_core::{Members, Module, Parameter};
///
/// struct Step { system: Parameter }
/// impl Module for Step {
///     fn members(&self) -> Members<'_> {
///         vec![("system".into(), (&self.system).into())]
///     }
/// }
/// struct Chain { plan: Step, write: Step }
/// impl Module for Chain {
///     fn members(&self) -> Members<'_> {
///         vec![("plan".into(), (&self.plan).into()), ("write".into(), (&self.write).into())]
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
    fn members(&self) -> Members<'_>;

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
        let parameters = self.named_parameters()?;
        let texts = parameters.into_iter().map(|(name, parameter)| (name, parameter.text()));
        Ok(StateDict(texts.collect()))
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
    members: Members<'_>,
    found: &mut Vec<(String, Parameter)>,
) -> Result<(), Error> {
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    for (name, member) in members {
        if name.is_empty() || name.contains('.') || seen.contains(&name) {
            return Err(Error::MemberName { module: path.to_owned(), name: name.into_owned() });
        }
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        seen.push(name);
        match member {
            Member::Parameter(parameter) => found.push((path, parameter.clone())),
            Member::Module(module) => collect(&path, module.members(), found)?,
        }
    }
    Ok(())
}

/// The texts of a module's parameters by name; see [`Module::state_dict`].
///
/// As JSON it is one object of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateDict(BTreeMap<String, Arc<str>>);

impl StateDict {
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

    fn assign(&self, parameters: Vec<(String, Parameter)>) -> Result<(), Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(Parameter, Parameter);

    impl Module for Pair {
        fn members(&self) -> Members<'_> {
            vec![("a".into(), (&self.0).into()), ("b".into(), (&self.1).into())]
        }
    }

    struct Named(&'static [&'static str], Parameter);

    impl Module for Named {
        fn members(&self) -> Members<'_> {
            self.0.iter().map(|name| ((*name).into(), (&self.1).into())).collect()
        }
    }

    struct Numbered(Vec<Pair>);

    impl Module for Numbered {
        fn members(&self) -> Members<'_> {
            let named = self.0.iter().enumerate();
            named.map(|(i, pair)| (format!("p{i}").into(), pair.into())).collect()
        }
    }

    #[test]
    fn names_may_be_generated() {
        let pair = || Pair(parameter("x"), parameter("y"));
        let names = Numbered(vec![pair(), pair()]).named_parameters().unwrap();
        let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["p0.a", "p0.b", "p1.a", "p1.b"]);
    }

    fn parameter(text: &str) -> Parameter {
        Parameter::new(text, "text")
    }

    #[test]
    fn a_shared_parameter_has_two_names_and_is_one() {
        let shared = parameter("x");
        let pair = Pair(shared.clone(), shared.clone());
        assert_eq!(pair.named_parameters().unwrap().len(), 2);
        assert_eq!(pair.parameters().unwrap(), std::slice::from_ref(&shared));

        let mut state = pair.state_dict().unwrap();
        state.insert("a", "y");
        let error = pair.load_state_dict(&state).unwrap_err();
        assert!(
            matches!(&error, Error::StateDict { contradicting, .. } if contradicting == &["b"]),
            "{error}"
        );
        assert_eq!(shared.text().as_ref(), "x");
        state.insert("b", "y");
        pair.load_state_dict(&state).unwrap();
        assert_eq!(shared.text().as_ref(), "y");
    }

    #[test]
    fn all_names_must_match_and_nothing_is_assigned_otherwise() {
        let pair = Pair(parameter("a0"), parameter("b0"));
        let state: StateDict = serde_json::from_str(r#"{"a": "a1", "c": "c1"}"#).unwrap();
        let error = pair.load_state_dict(&state).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("\"b\"") && message.contains("\"c\""), "{message}");
        assert_eq!(pair.0.text().as_ref(), "a0");
    }

    #[test]
    fn a_text_that_is_there_already_is_not_a_new_version() {
        let pair = Pair(parameter("a0"), parameter("b0"));
        let mut state = pair.state_dict().unwrap();
        state.insert("a", "a1");
        pair.load_state_dict(&state).unwrap();
        assert_eq!((pair.0.version(), pair.1.version()), (1, 0));
    }

    #[test]
    fn names_that_make_no_path_are_refused() {
        for names in [&[""] as &[&str], &["a.b"], &["a", "a"]] {
            let names: &'static [&'static str] = names.to_vec().leak();
            let error = Named(names, parameter("x")).named_parameters().unwrap_err();
            assert!(matches!(error, Error::MemberName { .. }), "{error}");
        }
    }

    #[test]
    fn a_module_is_frozen_as_a_whole() {
        let pair = Pair(parameter("a"), parameter("b"));
        pair.set_frozen(true).unwrap();
        assert!(pair.0.is_frozen() && pair.1.is_frozen());
    }
}
