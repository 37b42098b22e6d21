//! Templates that can be learned: a pack as a [`Module`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value as Json;

use super::error::PromptError;
use super::pack::PromptPack;
use crate::check::Check;
use crate::variable::{Members, Module, Parameter, Variable};

/// A pack with templates that are parameters: the wording of losses, of requests for feedback and of updates, as a
/// part of a program that is trained.
///
/// Ask it for the [pack](Self::pack) of the current texts each time that the program runs. The parameters are named
/// after their templates.
///
/// # Examples
/// ```
/// use serde::{Deserialize, Serialize};
/// use textgrad_core::{Module, PromptModule, PromptPack, TemplateSpec};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greeting {
///     name: String,
/// }
///
/// let pack = PromptPack::new([TemplateSpec::new::<Greeting>("greeting", "Hello {{name}}!")])?;
/// let module = PromptModule::new(&pack, ["greeting"])?;
/// let ada = Greeting { name: "Ada".to_owned() };
/// assert_eq!(module.pack()?.render("greeting", &ada)?, "Hello Ada!");
///
/// let wording = module.parameter("greeting").unwrap();
/// wording.set("Dear {{name}},");
/// assert_eq!(module.pack()?.render("greeting", &ada)?, "Dear Ada,");
/// // What an optimizer proposes must be a template that still shows the name.
/// assert!(wording.checks()[0].check("Dear {{nmae}},").is_err());
/// assert!(wording.checks()[0].check("Dear friend,").is_err());
/// assert_eq!(module.named_parameters().unwrap()[0].0, "greeting");
/// # Ok::<(), textgrad_core::PromptError>(())
/// ```
pub struct PromptModule {
    templates: Vec<(String, Parameter)>,
    /// The pack of the current texts, as far as it was asked for.
    current: Mutex<PromptPack>,
}

impl PromptModule {
    /// The pack with these templates as parameters. Each has the template's text, the role `{name}, a prompt
    /// template`, and a [`TemplateCheck`].
    ///
    /// # Errors
    /// Those of [`PromptPack::with_variable`].
    pub fn new<'a>(
        pack: &PromptPack,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, PromptError> {
        let parameters = names.into_iter().map(|name| {
            let check = TemplateCheck::new(pack, name)?;
            let text = pack.source(name).unwrap_or_default();
            let parameter = Parameter::builder(text, format!("{name}, a prompt template"));
            Ok((name, parameter.check(check).build()))
        });
        Self::from_parameters(pack, parameters.collect::<Result<Vec<_>, PromptError>>()?)
    }

    /// The pack with templates that are parameters of the user's own, by name. Give each a [`TemplateCheck`]: a
    /// text that is no template makes [`pack`](Self::pack) fail. Of a name that is given twice, the last counts.
    ///
    /// # Errors
    /// Those of [`PromptPack::with_variable`].
    pub fn from_parameters<'a>(
        pack: &PromptPack,
        parameters: impl IntoIterator<Item = (&'a str, Parameter)>,
    ) -> Result<Self, PromptError> {
        let mut templates: Vec<(String, Parameter)> = Vec::new();
        for (name, parameter) in parameters {
            templates.retain(|(known, _)| known != name);
            templates.push((name.to_owned(), parameter));
        }
        let current = Mutex::new(assigned(pack.clone(), &templates)?);
        Ok(Self { templates, current })
    }

    /// The parameter of a template.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.templates.iter().find(|(known, _)| known == name).map(|(_, parameter)| parameter)
    }

    /// The pack of the current texts: each template that is a parameter is the [variable](PromptPack::with_variable)
    /// that the parameter holds now. It parses those that were assigned since it was last asked for.
    ///
    /// # Errors
    /// A [`PromptError`] that names the template, if a parameter was set to a text that is none.
    pub fn pack(&self) -> Result<Arc<PromptPack>, PromptError> {
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pack = assigned(known, &self.templates)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = pack.clone();
        Ok(Arc::new(pack))
    }
}

/// The pack with the variables that the parameters hold now.
fn assigned(
    mut pack: PromptPack,
    templates: &[(String, Parameter)],
) -> Result<PromptPack, PromptError> {
    for (name, parameter) in templates {
        let leaf = parameter.variable();
        if pack.variable(name) != Some(&leaf) {
            pack = pack.with_variable(name, leaf)?;
        }
    }
    Ok(pack)
}

impl Module for PromptModule {
    fn members(&self) -> Members<'_> {
        self.templates.iter().map(|(name, parameter)| (name.into(), parameter.into())).collect()
    }
}

crate::debug_by!(PromptModule { templates });

/// Holds for a text that can replace a template of a pack: it parses, names no unknown value, and still shows each
/// value that the template shows. A value that was left out would be missing in every request from then on.
#[derive(Debug, Clone)]
pub struct TemplateCheck {
    pack: PromptPack,
    name: String,
    rule: String,
    needed: Vec<String>,
}

impl TemplateCheck {
    /// The check of new texts for this template.
    ///
    /// # Errors
    /// [`PromptError::Missing`] if the pack has no template of this name, [`PromptError::Unsupported`] if it is a
    /// partial.
    pub fn new(pack: &PromptPack, name: &str) -> Result<Self, PromptError> {
        let text = pack.source(name).unwrap_or_default();
        // The error of what is no template of a message.
        pack.with_variable(name, Variable::constant(text, "template"))?;
        let fields = pack.example(name).and_then(Json::as_object);
        let known: Vec<&str> =
            fields.into_iter().flatten().map(|(field, _)| field.as_str()).collect();
        let is_known = |path: &&str| known.contains(&path.split('.').next().unwrap_or_default());
        let needed: Vec<String> =
            shown(text).into_iter().filter(is_known).map(str::to_owned).collect();
        let must = match needed.as_slice() {
            [] => String::new(),
            needed => format!(" It must use these values: {}.", needed.join(", ")),
        };
        let rule = format!(
            "It is a handlebars template.{must} It may use no others than these: {}.",
            known.join(", ")
        );
        Ok(Self { pack: pack.clone(), name: name.to_owned(), rule, needed })
    }
}

impl Check for TemplateCheck {
    fn rule(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.rule)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let variable = Variable::constant(text, "template");
        self.pack.with_variable(&self.name, variable).map_err(|error| error.to_string())?;
        let shown = shown(text);
        match self.needed.iter().find(|path| !shown.contains(path.as_str())) {
            Some(missing) => Err(format!("it does not use {missing}; add {{{{{missing}}}}}")),
            None => Ok(()),
        }
    }
}

/// The values that a template shows: those of its expressions and its lists, not those of its conditions.
fn shown(text: &str) -> BTreeSet<&str> {
    let expressions = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    let shown = expressions.filter_map(|(inside, _)| {
        let inside = inside.trim_matches(['{', '~', ' ']);
        match inside.strip_prefix('#') {
            Some(block) => block.trim_start().strip_prefix("each "),
            None => (!inside.starts_with(['/', '>', '!', '&']) && !inside.starts_with("else"))
                .then_some(inside),
        }
    });
    shown.flat_map(|inside| inside.split([' ', '(', ')'])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_values_are_those_of_expressions_and_lists() {
        let text = "{{a}} {{section \"A\" b.c}}{{#each d}}{{this}}{{/each}}{{#if e}}x{{else if f}}{{~g~}}{{/if}}{{> _h}}";
        for (name, is_shown) in [
            ("a", true),
            ("b.c", true),
            ("d", true),
            ("e", false),
            ("f", false),
            ("g", true),
            ("_h", false),
        ] {
            assert_eq!(shown(text).contains(name), is_shown, "{name}");
        }
        assert!(shown("{{ open").is_empty());
    }
}
