//! Levels of nesting of a parsed template.

use handlebars::Template;
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};
use serde_json::Value as Json;

/// The first line that is nested deeper than a bound, from 1. Recurses as deep as the template.
pub(crate) fn too_deep(template: &Template, most: usize) -> Option<usize> {
    let deep = template.elements.iter().position(|element| of_element(element) > most)?;
    Some(template.mapping.get(deep).map_or(1, |at| at.0))
}

fn of_template(template: &Template) -> usize {
    template.elements.iter().map(of_element).max().unwrap_or_default()
}

fn of_element(element: &TemplateElement) -> usize {
    match element {
        TemplateElement::HelperBlock(helper)
        | TemplateElement::Expression(helper)
        | TemplateElement::HtmlExpression(helper) => of_helper(helper),
        TemplateElement::PartialExpression(partial)
        | TemplateElement::PartialBlock(partial)
        | TemplateElement::DecoratorExpression(partial)
        | TemplateElement::DecoratorBlock(partial) => of_decorator(partial),
        _ => 0,
    }
}

fn of_helper(helper: &HelperTemplate) -> usize {
    let parameters = helper.params.iter().chain(helper.hash.values()).chain([&helper.name]);
    let bodies = [&helper.template, &helper.inverse].into_iter().flatten();
    let inside = bodies.map(of_template).chain(parameters.map(of_parameter)).max();
    1 + inside.unwrap_or_default()
}

fn of_decorator(decorator: &DecoratorTemplate) -> usize {
    let parameters =
        decorator.params.iter().chain(decorator.hash.values()).chain([&decorator.name]);
    let inside =
        decorator.template.iter().map(of_template).chain(parameters.map(of_parameter)).max();
    1 + inside.unwrap_or_default()
}

fn of_parameter(parameter: &Parameter) -> usize {
    match parameter {
        Parameter::Subexpression(inner) => of_element(inner.as_element()),
        Parameter::Literal(value) => of_value(value),
        _ => 0,
    }
}

fn of_value(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(of_value).max().unwrap_or_default(),
        Json::Object(fields) => 1 + fields.values().map(of_value).max().unwrap_or_default(),
        _ => 0,
    }
}
