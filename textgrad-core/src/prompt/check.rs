//! Checking a template against the variables that it will be given.
//!
//! Handlebars finds a missing variable only when it is rendered, and `{{#if missing}}` not even then. So the
//! parsed template is walked once, with examples of the variables in place of their values.

use std::collections::BTreeMap;

use handlebars::template::{
    BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement,
};
use handlebars::{Path, Template};
use serde_json::Value as Json;

use super::error::PromptError;

/// Helpers that packs may use.
const HELPERS: [&str; 15] = [
    "if", "unless", "each", "with", "lookup", "len", "eq", "ne", "gt", "gte", "lt", "lte", "and",
    "or", "not",
];

pub(super) struct Known {
    pub(super) origin: String,
    pub(super) text: String,
    pub(super) template: Template,
}

pub(super) struct Checker<'a> {
    templates: &'a BTreeMap<String, Known>,
}

/// The variables in sight: the values that blocks have stepped into, innermost last, and block parameters.
#[derive(Clone)]
struct Scope<'a> {
    values: Vec<&'a Json>,
    params: Vec<(String, Option<&'a Json>)>,
    partials: Vec<&'a str>,
}

/// Where in which file.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: usize,
}

impl Place<'_> {
    fn unsupported(self, reason: impl Into<String>) -> PromptError {
        PromptError::Unsupported {
            file: self.file.to_owned(),
            line: self.line,
            reason: reason.into(),
        }
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(templates: &'a BTreeMap<String, Known>) -> Self {
        Self { templates }
    }

    pub(super) fn check(&self, name: &'a str, example: &'a Json) -> Result<(), PromptError> {
        let scope = Scope { values: vec![example], params: Vec::new(), partials: vec![name] };
        match self.templates.get(name) {
            Some(known) => self.template(&known.template, &known.origin, &scope),
            None => Err(PromptError::Missing { name: name.to_owned() }),
        }
    }

    fn template(
        &self,
        template: &'a Template,
        file: &'a str,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        for (element, mapping) in template.elements.iter().zip(&template.mapping) {
            let place = Place { file, line: mapping.0 };
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(helper) | TemplateElement::HtmlExpression(helper) => {
                    self.expression(helper, place, scope)?;
                }
                TemplateElement::HelperBlock(helper) => self.block(helper, place, scope)?,
                TemplateElement::PartialExpression(partial)
                | TemplateElement::PartialBlock(partial) => self.partial(partial, place, scope)?,
                _ => return Err(place.unsupported("decorators can not be used in a prompt pack")),
            }
        }
        Ok(())
    }

    fn expression(
        &self,
        helper: &'a HelperTemplate,
        place: Place<'a>,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        if helper.params.is_empty() && helper.hash.is_empty() {
            return self.resolve(&helper.name, place, scope).map(|_| ());
        }
        let name = name_of(&helper.name);
        match (name, helper.params.len()) {
            ("section", 2) => {}
            ("section", count) => {
                return Err(place.unsupported(format!(
                    "expected {{{{section \"NAME\" value}}}}, got {count} argument(s)"
                )));
            }
            _ if HELPERS.contains(&name) => {}
            _ => {
                return Err(place.unsupported(format!(
                    "unknown helper {name:?}; known: section, {}",
                    HELPERS.join(", ")
                )));
            }
        }
        self.arguments(helper, place, scope)
    }

    fn arguments(
        &self,
        helper: &'a HelperTemplate,
        place: Place<'a>,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        for parameter in helper.params.iter().chain(helper.hash.values()) {
            self.resolve(parameter, place, scope)?;
        }
        Ok(())
    }

    fn block(
        &self,
        helper: &'a HelperTemplate,
        place: Place<'a>,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        let name = name_of(&helper.name);
        if !["if", "unless", "each", "with"].contains(&name) {
            return Err(place.unsupported(format!(
                "unknown block {{{{#{name}}}}}; known: if, unless, each, with"
            )));
        }
        self.arguments(helper, place, scope)?;
        let mut inner = scope.clone();
        if ["each", "with"].contains(&name) {
            let Some(parameter) = helper.params.first() else {
                return Err(place.unsupported(format!("{{{{#{name}}}}} needs a value")));
            };
            let value = self.resolve(parameter, place, scope)?;
            let value = if name == "each" { value.and_then(element) } else { value };
            match &helper.block_param {
                None => {}
                Some(BlockParam::Single(first)) => {
                    inner.params.push((name_of(first).to_owned(), value));
                }
                Some(BlockParam::Pair((first, second))) => {
                    inner.params.push((name_of(first).to_owned(), value));
                    inner.params.push((name_of(second).to_owned(), None));
                }
                Some(_) => return Err(place.unsupported("unknown block parameters")),
            }
            inner.values.push(value.unwrap_or(&Json::Null));
        }
        if let Some(template) = &helper.template {
            self.template(template, place.file, &inner)?;
        }
        if let Some(inverse) = &helper.inverse {
            self.template(inverse, place.file, scope)?;
        }
        Ok(())
    }

    fn partial(
        &self,
        partial: &'a DecoratorTemplate,
        place: Place<'a>,
        scope: &Scope<'a>,
    ) -> Result<(), PromptError> {
        let name = name_of(&partial.name);
        let Some((name, known)) = self.templates.get_key_value(name) else {
            let known: Vec<&str> = self.templates.keys().map(String::as_str).collect();
            return Err(
                place.unsupported(format!("unknown partial {name:?}; known: {}", known.join(", ")))
            );
        };
        if !partial.params.is_empty() || !partial.hash.is_empty() {
            return Err(place.unsupported("a partial takes no arguments: it sees what is in sight"));
        }
        if scope.partials.contains(&name.as_str()) {
            return Err(place.unsupported(format!("partial {name:?} includes itself")));
        }
        let mut inner = scope.clone();
        inner.partials.push(name);
        self.template(&known.template, &known.origin, &inner)
    }

    /// What a parameter stands for; `None` where the value has no example (a literal, `@index`, ...).
    fn resolve(
        &self,
        parameter: &'a Parameter,
        place: Place<'a>,
        scope: &Scope<'a>,
    ) -> Result<Option<&'a Json>, PromptError> {
        match parameter {
            Parameter::Literal(_) => Ok(None),
            Parameter::Name(name) => lookup(name, place, scope),
            Parameter::Path(Path::Local(_)) => Ok(None),
            Parameter::Path(Path::Relative((_, raw))) => lookup(raw, place, scope),
            Parameter::Subexpression(inner) => match inner.as_element() {
                TemplateElement::Expression(helper) => {
                    self.expression(helper, place, scope).map(|()| None)
                }
                _ => Err(place.unsupported("this kind of subexpression can not be used")),
            },
            _ => Err(place.unsupported("this kind of parameter can not be used")),
        }
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

fn element(value: &Json) -> Option<&Json> {
    match value {
        Json::Array(items) => items.first(),
        Json::Object(fields) => fields.values().next(),
        _ => None,
    }
}

fn lookup<'a>(
    raw: &str,
    place: Place<'_>,
    scope: &Scope<'a>,
) -> Result<Option<&'a Json>, PromptError> {
    let mut depth = scope.values.len();
    let mut current = scope.values.last().copied();
    for (position, part) in raw.split(['.', '/']).filter(|part| !part.is_empty()).enumerate() {
        let part = part.trim_matches(|c| c == '[' || c == ']');
        // ".." was split into nothing: the parser writes it as "../", of which the dots are gone.
        if part == "this" {
            continue;
        }
        if part == "@root" {
            depth = 1;
            current = scope.values.first().copied();
            continue;
        }
        if position == 0
            && let Some((_, value)) = scope.params.iter().rev().find(|(name, _)| name == part)
        {
            let Some(value) = value else { return Ok(None) };
            current = Some(value);
            continue;
        }
        if raw.starts_with("../") && position == 0 {
            let ups = raw.matches("../").count();
            depth = depth.saturating_sub(ups);
            current = depth.checked_sub(1).and_then(|index| scope.values.get(index)).copied();
        }
        let next = match current {
            Some(Json::Object(fields)) => fields.get(part),
            Some(Json::Array(items)) if part.parse::<usize>().is_ok() => items.first(),
            _ => None,
        };
        match next {
            Some(value) => current = Some(value),
            None => {
                let mut known: Vec<String> = match current {
                    Some(Json::Object(fields)) => fields.keys().cloned().collect(),
                    _ => vec!["this".to_owned()],
                };
                known.extend(scope.params.iter().map(|(name, _)| name.clone()));
                return Err(PromptError::UnknownVariable {
                    file: place.file.to_owned(),
                    line: place.line,
                    variable: raw.to_owned(),
                    known,
                });
            }
        }
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let template = Template::compile(text).map_err(|error| error.to_string())?;
        let partial = Template::compile("{{title}}").unwrap();
        let looped = Template::compile("{{> _loop}}").unwrap();
        let known =
            |origin: &str, template| Known { origin: origin.into(), text: String::new(), template };
        let templates = BTreeMap::from([
            ("t".to_owned(), known("t.hbs", template)),
            ("_p".to_owned(), known("_p.hbs", partial)),
            ("_loop".to_owned(), known("_loop.hbs", looped)),
        ]);
        let example = json!({ "title": "x", "items": [{ "name": "n" }], "inner": { "leaf": 1 } });
        Checker::new(&templates).check("t", &example).map_err(|error| error.to_string())
    }

    #[test]
    fn accepts_what_is_there() {
        for text in [
            "{{title}} {{inner.leaf}} {{this.title}}",
            "{{#each items}}{{name}} {{@index}} {{../title}} {{@root.title}}{{/each}}",
            "{{#each items as |item i|}}{{item.name}} {{i}}{{else}}{{title}}{{/each}}",
            "{{#if title}}{{title}}{{else if inner}}{{inner.leaf}}{{/if}}",
            "{{#with inner}}{{leaf}}{{/with}}{{#unless title}}x{{/unless}}",
            "{{section \"T\" title}} {{#if (eq inner.leaf 1)}}x{{/if}} {{len items}}",
            "{{> _p}} {{!-- a comment --}} \\{{title}}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn names_what_is_not() {
        let unknown = |line, variable: &str, known: &str| {
            Err(format!("t.hbs, line {line}: unknown variable {variable:?}; known here: {known}"))
        };
        let all = "inner, items, title";
        assert_eq!(check("\n\n{{titel}}"), unknown(3, "titel", all));
        assert_eq!(check("{{#if missing}}x{{/if}}"), unknown(1, "missing", all));
        assert_eq!(check("{{#if title}}\n{{nope}}{{/if}}"), unknown(2, "nope", all));
        assert_eq!(check("{{#if title}}{{else}}\n{{nope}}{{/if}}"), unknown(2, "nope", all));
        assert_eq!(check("{{inner.twig}}"), unknown(1, "inner.twig", "leaf"));
        assert_eq!(check("{{#each items}}{{title}}{{/each}}"), unknown(1, "title", "name"));
        assert_eq!(check("{{#each items}}{{../nope}}{{/each}}"), unknown(1, "../nope", all));
        assert_eq!(check("{{title.deeper}}"), unknown(1, "title.deeper", "this"));
        assert_eq!(check("{{section \"T\" nope}}"), unknown(1, "nope", all));
    }

    #[test]
    fn names_what_packs_do_not_have() {
        for (text, part) in [
            ("{{shout title}}", "unknown helper \"shout\""),
            ("{{#repeat title}}x{{/repeat}}", "unknown block {{#repeat}}"),
            ("{{section title}}", "expected {{section"),
            ("{{> _q}}", "unknown partial \"_q\""),
            ("{{> _loop}}", "includes itself"),
            ("{{#*inline \"x\"}}y{{/inline}}", "decorators"),
        ] {
            let message = check(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
