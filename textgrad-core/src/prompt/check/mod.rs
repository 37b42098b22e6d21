//! Checking a template against the variables that it will be given.
//!
//! Handlebars finds a missing variable only when it is rendered, and `{{#if missing}}` not even then. So the
//! parsed template is walked once, with examples of the variables instead of their values.

mod depth;
mod scope;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use handlebars::template::{
    BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement, TemplateMapping,
};
use handlebars::{Path, Template};
use serde_json::Value as Json;

pub(super) use self::depth::too_deep;
use self::scope::{SCALAR, Scope};
use super::bounds::{MAX_DEPTH, MAX_ELEMENTS, MAX_LOOPS};
use super::error::PromptError;
use super::lazy::LazyTemplate;

/// Helpers that packs may use, and how many arguments each takes.
const HELPERS: [(&str, usize); 11] = [
    ("section", 2),
    ("len", 1),
    ("eq", 2),
    ("ne", 2),
    ("gt", 2),
    ("gte", 2),
    ("lt", 2),
    ("lte", 2),
    ("and", 2),
    ("or", 2),
    ("not", 1),
];

/// Helpers that packs may use as blocks.
const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

/// Helpers of handlebars that packs may not use; a variable of such a name cannot be written alone.
const REFUSED: [&str; 3] = ["lookup", "log", "raw"];

pub(super) struct Checker<'a> {
    templates: &'a BTreeMap<String, Arc<LazyTemplate>>,
}

/// Where in which file.
#[derive(Clone, Copy)]
struct Location<'a> {
    template: &'a LazyTemplate,
    line: usize,
}

impl Location<'_> {
    fn unsupported(self, reason: impl Into<String>) -> PromptError {
        PromptError::Unsupported {
            file: self.template.origin.clone(),
            line: self.line,
            reason: reason.into(),
        }
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(templates: &'a BTreeMap<String, Arc<LazyTemplate>>) -> Self {
        Self { templates }
    }

    pub(super) fn check(&self, name: &'a str, example: &'a Json) -> Result<(), PromptError> {
        match self.templates.get(name) {
            Some(template) => {
                let visited = Cell::new(0);
                let (templates, included) = (self.templates, vec![name]);
                let walk =
                    Walk { templates, template, included, visited: &visited, depth: 0, loops: 0 };
                walk.template(template.template()?, 1, &Scope::new(example))
            }
            None => Err(PromptError::Missing { name: name.to_owned() }),
        }
    }
}

/// The walk through one template, and through how it was included.
#[derive(Clone)]
struct Walk<'a, 'v> {
    templates: &'a BTreeMap<String, Arc<LazyTemplate>>,
    template: &'a LazyTemplate,
    included: Vec<&'a str>,
    /// The number of elements so far, in all templates.
    visited: &'v Cell<usize>,
    depth: usize,
    loops: usize,
}

impl<'a> Walk<'a, '_> {
    /// A template that begins on a line.
    fn template(
        &self,
        template: &'a Template,
        line: usize,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        for (index, element) in template.elements.iter().enumerate() {
            // `{{else if}}` is parsed into a template of one block, without a location of its own.
            let mapping = template.mapping.get(index);
            let location =
                Location { template: self.template, line: mapping.map_or(line, |at| at.0) };
            self.visited.set(self.visited.get() + 1);
            self.check_bounds(location)?;
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(helper) | TemplateElement::HtmlExpression(helper) => {
                    let name = name_of(&helper.name);
                    if helper.params.is_empty() && helper.hash.is_empty() && !is_helper(name) {
                        scalar(&helper.name, location, scope)?;
                    } else {
                        call(helper, location, scope)?;
                    }
                }
                TemplateElement::HelperBlock(_)
                    if mapping.is_some_and(|at| is_raw(self.template, at)) =>
                {
                    return Err(location.unsupported(
                        "raw blocks cannot be used; write \\{{ for braces that are text",
                    ));
                }
                TemplateElement::HelperBlock(helper) => self.block(helper, location, scope)?,
                TemplateElement::PartialExpression(partial) => {
                    self.partial(partial, location, scope)?;
                }
                TemplateElement::PartialBlock(_) => {
                    return Err(location.unsupported("partials have no content; write {{> name}}"));
                }
                _ => return Err(location.unsupported("decorators cannot be used in a prompt pack")),
            }
        }
        Ok(())
    }

    fn check_bounds(&self, location: Location<'a>) -> Result<(), PromptError> {
        for (got, most, what) in [
            (self.visited.get(), MAX_ELEMENTS, "elements, those of partials included"),
            (self.depth, MAX_DEPTH, "levels of blocks and partials"),
            (self.loops, MAX_LOOPS, "{{#each}} within each other"),
        ] {
            if got > most {
                return Err(location.unsupported(format!("expected at most {most} {what}")));
            }
        }
        Ok(())
    }

    fn block(
        &self,
        helper: &'a HelperTemplate,
        location: Location<'a>,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        let name = name_of(&helper.name);
        if !BLOCKS.contains(&name) {
            return Err(location.unsupported(format!(
                "unknown block {{{{#{name}}}}}; known: {}",
                BLOCKS.join(", ")
            )));
        }
        let [parameter] = helper.params.as_slice() else {
            return Err(location.unsupported(format!(
                "expected {{{{#{name} value}}}}, got {} argument(s)",
                helper.params.len()
            )));
        };
        let conditional = ["if", "unless"].contains(&name);
        if !helper.hash.keys().all(|key| conditional && key == "includeZero") {
            return Err(
                location.unsupported(format!("{{{{#{name}}}}} takes no such named argument"))
            );
        }
        for value in helper.hash.values() {
            resolve(value, location, scope)?;
        }
        let value = resolve(parameter, location, scope)?;
        let mut inner = match (name, value) {
            ("each", Json::Array(items)) => {
                scope.clone().counting(items.first().unwrap_or(&Json::Null))
            }
            ("with", Json::Object(_)) => scope.clone().inside(Some(value)),
            ("if" | "unless", _) => scope.clone(),
            _ => {
                let kind = if name == "each" { "a list" } else { "an object" };
                let written = name_of(parameter);
                return Err(location.unsupported(format!(
                    "{{{{#{name}}}}} needs {kind}, but {written:?} is {}",
                    kind_of(value)
                )));
            }
        };
        match (&helper.block_param, name, value) {
            (None, ..) => {}
            (Some(BlockParam::Single(first)), "with", value) => inner.name(name_of(first), value),
            (Some(BlockParam::Single(first)), "each", Json::Array(items)) => {
                inner.name(name_of(first), items.first().unwrap_or(&Json::Null));
            }
            (Some(BlockParam::Pair((first, second))), "each", Json::Array(items)) => {
                inner.name(name_of(first), items.first().unwrap_or(&Json::Null));
                inner.name(name_of(second), &SCALAR);
            }
            _ => {
                return Err(
                    location.unsupported(format!("{{{{#{name}}}}} has no such block parameters"))
                );
            }
        }
        let mut body = self.clone();
        body.depth += 1;
        if let Some(inverse) = &helper.inverse {
            body.template(inverse, location.line, scope)?;
        }
        body.loops += usize::from(name == "each");
        if let Some(template) = &helper.template {
            body.template(template, location.line, &inner)?;
        }
        Ok(())
    }

    fn partial(
        &self,
        partial: &'a DecoratorTemplate,
        location: Location<'a>,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        let name = name_of(&partial.name);
        let Some((name, template)) = self.templates.get_key_value(name) else {
            let known: Vec<&str> = self.templates.keys().map(String::as_str).collect();
            return Err(location
                .unsupported(format!("unknown partial {name:?}; known: {}", known.join(", "))));
        };
        if !partial.params.is_empty() || !partial.hash.is_empty() {
            return Err(
                location.unsupported("a partial takes no arguments: it sees what is in sight")
            );
        }
        if self.included.contains(&name.as_str()) {
            return Err(location.unsupported(format!("partial {name:?} includes itself")));
        }
        let mut walk = self.clone();
        walk.included.push(name);
        walk.template = template;
        walk.depth += 1;
        walk.template(template.template()?, 1, &scope.clone().inside(None))
    }
}

/// A call of a helper that is no block.
fn call<'a>(
    helper: &'a HelperTemplate,
    location: Location<'a>,
    scope: &Scope<'a>,
) -> Result<(), PromptError> {
    let name = name_of(&helper.name);
    let got = helper.params.len();
    let Some((_, expected)) = HELPERS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = HELPERS.iter().map(|(known, _)| *known).collect();
        return Err(location.unsupported(match name {
            _ if BLOCKS.contains(&name) => {
                format!("{name} is a block: {{{{#{name} value}}}} ... {{{{/{name}}}}}")
            }
            "lookup" => "lookup cannot be checked; use {{#each}} or a field".to_owned(),
            _ => format!("unknown helper {name:?}; known: {}", known.join(", ")),
        }));
    };
    if got != *expected || !helper.hash.is_empty() {
        let usage = match (name, expected) {
            ("section", _) => "section \"NAME\" value".to_owned(),
            (_, 1) => format!("{name} value"),
            _ => format!("{name} value value"),
        };
        let named = helper.hash.len();
        return Err(location.unsupported(format!(
            "expected {{{{{usage}}}}}, got {got} argument(s) and {named} named one(s); a variable of this name is {{{{this.{name}}}}}"
        )));
    }
    for parameter in &helper.params {
        if name == "section" {
            scalar(parameter, location, scope)?;
        } else {
            resolve(parameter, location, scope)?;
        }
    }
    Ok(())
}

/// A parameter that is written into the prompt.
fn scalar<'a>(
    parameter: &'a Parameter,
    location: Location<'a>,
    scope: &Scope<'a>,
) -> Result<(), PromptError> {
    let value = resolve(parameter, location, scope)?;
    let use_instead = match value {
        Json::Array(_) => "use {{#each}}".to_owned(),
        Json::Object(fields) => {
            let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("use one of its fields: {}", fields.join(", "))
        }
        _ => return Ok(()),
    };
    let (written, kind) = (name_of(parameter), kind_of(value));
    Err(location.unsupported(format!("expected a text, but {written:?} is {kind}; {use_instead}")))
}

/// An example of what a parameter stands for.
fn resolve<'a>(
    parameter: &'a Parameter,
    location: Location<'a>,
    scope: &Scope<'a>,
) -> Result<&'a Json, PromptError> {
    match parameter {
        Parameter::Literal(value) => Ok(value),
        Parameter::Name(name) => scope.lookup(name, location),
        Parameter::Path(Path::Local((level, name, raw))) => {
            scope.local(*level, name, raw, location)
        }
        Parameter::Path(Path::Relative((_, raw))) => scope.lookup(raw, location),
        Parameter::Subexpression(inner) => match inner.as_element() {
            TemplateElement::Expression(helper) => call(helper, location, scope).map(|()| &SCALAR),
            _ => Err(location.unsupported("this kind of subexpression cannot be used")),
        },
        _ => Err(location.unsupported("this kind of parameter cannot be used")),
    }
}

fn name_of(parameter: &Parameter) -> &str {
    match parameter {
        Parameter::Name(name) => name,
        Parameter::Path(Path::Relative((_, raw)) | Path::Local((_, _, raw))) => raw,
        Parameter::Literal(Json::String(name)) => name,
        _ => "",
    }
}

fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
        Json::String(_) => "a text",
        Json::Number(_) | Json::Bool(_) => "a number or a boolean",
        Json::Null => "nothing",
    }
}

fn is_helper(name: &str) -> bool {
    let helpers = HELPERS.iter().map(|(helper, _)| helper);
    helpers.chain(&BLOCKS).chain(&REFUSED).any(|helper| *helper == name)
}

/// Raw blocks are parsed into blocks like others; only the text tells them apart.
fn is_raw(template: &LazyTemplate, mapping: &TemplateMapping) -> bool {
    let line = template.text.split('\n').nth(mapping.0.saturating_sub(1)).unwrap_or_default();
    line.chars().skip(mapping.1.saturating_sub(1)).take(4).eq("{{{{".chars())
}

#[cfg(test)]
mod tests;
