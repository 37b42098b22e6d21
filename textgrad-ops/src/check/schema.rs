//! Checks against a JSON schema.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;

use boon::{
    CompileError, Compiler, ErrorKind, InstanceLocation, InstanceToken, SchemaIndex, Schemas,
    UrlLoader, ValidationError,
};
use derive_setters::Setters;
use serde_json::Value as Json;
use textgrad_core::{Check, truncate};

use crate::error::Error;

/// The most violations that are named at once: enough to mend a text, few enough to read.
const MAX_NAMED: usize = 5;
/// The most characters of one violation.
const MAX_SHOWN: usize = 200;
/// The address of the schema itself, which references inside it are relative to.
const ADDRESS: &str = "schema:///";

/// A JSON schema that a text must hold to: the whole text is one JSON document.
///
/// Drafts 4 to 2020-12 are known, by the schema's `$schema`; the newest one without it. Nothing is fetched:
/// a `$ref` to another document is refused. Patterns are matched in linear time (see
/// [`RegexCheck`](super::RegexCheck)).
///
/// # Examples
/// ```
/// use serde_json::json;
/// use textgrad_core::Check;
/// use textgrad_ops::check::JsonSchema;
///
/// let people = JsonSchema::new(&json!({
///     "type": "array",
///     "items": { "type": "object", "properties": { "age": { "type": "integer" } }, "required": ["age"] },
/// }))?;
/// assert_eq!(people.check(r#"[{ "age": 36 }]"#), Ok(()));
/// assert_eq!(
///     people.check(r#"[{ "age": 36 }, { "age": "old" }]"#),
///     Err(r#"at /1/age: "old" is not of type "integer""#.to_owned())
/// );
/// assert_eq!(
///     people.check("Here you are:"),
///     Err("it is not a JSON document: expected value at line 1 column 1".to_owned())
/// );
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
#[derive(Clone, Setters)]
#[setters(generate = false)]
pub struct JsonSchema {
    schemas: Arc<Schemas>,
    root: SchemaIndex,
    /// The rule in words; default: the schema itself.
    #[setters(generate, into, rename = "in_words")]
    rule: String,
}

textgrad_core::debug_by!(JsonSchema { rule });

/// Refuses every document.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, _: &str) -> Result<Json, Box<dyn StdError>> {
        Err("no other document is read".into())
    }
}

impl JsonSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// [`Error::Schema`] with the location in the schema if it is invalid or refers to another document.
    pub fn new(schema: &Json) -> Result<Self, Error> {
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(NoLoader));
        let mut schemas = Schemas::new();
        compiler.add_resource(ADDRESS, schema.clone()).map_err(|error| invalid(schema, &error))?;
        let root =
            compiler.compile(ADDRESS, &mut schemas).map_err(|error| invalid(schema, &error))?;
        let rule =
            format!("it is one JSON document, nothing else, after this JSON schema: {schema}");
        Ok(Self { schemas: Arc::new(schemas), root, rule })
    }
}

impl Check for JsonSchema {
    fn rule(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.rule)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let document: Json = serde_json::from_str(text)
            .map_err(|error| format!("it is not a JSON document: {error}"))?;
        let Err(error) = self.schemas.validate(&document, self.root) else { return Ok(()) };
        let violations = violations(&error);
        let mut lines: Vec<String> = violations
            .iter()
            .take(MAX_NAMED)
            .map(|violation| {
                let pointer = pointer(&violation.instance_location);
                let message = message(&document, &pointer, &violation.kind);
                format!("at {}: {}", location(&pointer), truncate(&message, MAX_SHOWN))
            })
            .collect();
        let further = violations.len().saturating_sub(MAX_NAMED);
        if further > 0 {
            lines.push(format!("and {further} more"));
        }
        Err(lines.join("\n"))
    }
}

fn invalid(schema: &Json, error: &CompileError) -> Error {
    let (place, problem) = match error {
        CompileError::ValidationError { src, .. } => {
            // The branches of a meta-schema fail together: the deepest location is the one that was meant.
            let violations = violations(src);
            let deepest =
                violations.iter().max_by_key(|found| found.instance_location.tokens.len());
            deepest.map_or_else(
                || (String::new(), src.to_string()),
                |found| {
                    let pointer = pointer(&found.instance_location);
                    let problem = message(schema, &pointer, &found.kind);
                    (pointer, problem)
                },
            )
        }
        CompileError::InvalidRegex { url, regex, src } => {
            let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
            (fragment.to_owned(), format!("invalid regex {regex:?}: {src}"))
        }
        error => (String::new(), format!("{error:#}").replace(ADDRESS, "the schema")),
    };
    Error::Schema { location: location(&place).to_owned(), problem: truncate(&problem, MAX_SHOWN) }
}

/// The violations behind an error: its leaves, and combinations of schemas as a whole.
fn violations<'e, 's, 'v>(error: &'e ValidationError<'s, 'v>) -> Vec<&'e ValidationError<'s, 'v>> {
    let (mut found, mut open) = (Vec::new(), vec![error]);
    while let Some(error) = open.pop() {
        let group = matches!(
            error.kind,
            ErrorKind::Group
                | ErrorKind::Schema { .. }
                | ErrorKind::ContentSchema
                | ErrorKind::Reference { .. }
                | ErrorKind::AllOf
        );
        if group && !error.causes.is_empty() {
            open.extend(error.causes.iter().rev());
        } else {
            found.push(error);
        }
    }
    found
}

fn message(document: &Json, pointer: &str, kind: &ErrorKind<'_, '_>) -> String {
    let value =
        || document.pointer(pointer).map_or_else(|| "the value".to_owned(), Json::to_string);
    match kind {
        ErrorKind::Type { want, .. } => {
            let types: Vec<String> = want.iter().map(|kind| format!("\"{kind}\"")).collect();
            format!("{} is not of type {}", value(), types.join(" or "))
        }
        ErrorKind::FalseSchema => format!("{} is not allowed", value()),
        ErrorKind::Not => format!("{} matches the schema of \"not\"", value()),
        ErrorKind::AnyOf => format!("{} matches no schema of \"anyOf\"", value()),
        ErrorKind::OneOf(None) => format!("{} matches no schema of \"oneOf\"", value()),
        ErrorKind::OneOf(Some(_)) => format!("{} matches several schemas of \"oneOf\"", value()),
        kind => kind.to_string(),
    }
}

/// The location as a JSON pointer (RFC 6901).
fn pointer(location: &InstanceLocation<'_>) -> String {
    let mut pointer = String::new();
    for token in &location.tokens {
        pointer.push('/');
        match token {
            InstanceToken::Prop(name) => {
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            InstanceToken::Item(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

fn location(pointer: &str) -> &str {
    if pointer.is_empty() { "the root" } else { pointer }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_that_does_not_compile_is_a_clear_error() {
        let error = JsonSchema::new(&json!({ "properties": { "a": { "type": "text" } } }));
        let error = error.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("expected a JSON schema, but at /properties/a/type: "), "{text}");
        for schema in [json!(1), json!({ "pattern": "(" }), json!({ "$ref": "https://a.test/b" })] {
            assert!(matches!(JsonSchema::new(&schema), Err(Error::Schema { .. })), "{schema}");
        }
    }

    #[test]
    fn every_violation_is_named_with_its_place_up_to_a_bound() {
        let schema = JsonSchema::new(&json!({ "items": { "type": "string" } })).unwrap();
        let violation = schema.check("[1, \"a\", 2]").unwrap_err();
        assert_eq!(
            violation,
            "at /0: 1 is not of type \"string\"\nat /2: 2 is not of type \"string\""
        );
        let many = format!("[{}]", vec!["1"; 40].join(","));
        let violation = schema.check(&many).unwrap_err();
        assert_eq!(violation.lines().count(), MAX_NAMED + 1);
        assert!(violation.ends_with("and 35 more"), "{violation}");
        let long = format!("[[\"{}\"]]", "x".repeat(10_000));
        assert!(schema.check(&long).unwrap_err().len() < 300);
        let root = JsonSchema::new(&json!({ "type": "object" })).unwrap();
        assert!(root.check("[]").unwrap_err().starts_with("at the root: "));
    }

    #[test]
    fn what_is_not_json_says_where() {
        let schema = JsonSchema::new(&json!(true)).unwrap().in_words("JSON");
        assert_eq!(schema.rule(), "JSON");
        assert_eq!(schema.check("null"), Ok(()));
        for text in ["", "{}{}", "```json\n{}\n```", "{\"a\": }", &"[".repeat(100_000)] {
            let violation = schema.check(text).unwrap_err();
            assert!(violation.starts_with("it is not a JSON document: "), "{violation}");
            assert!(violation.contains(" at line "), "{violation}");
        }
    }

    #[test]
    fn drafts_references_and_combinations_are_understood() {
        let schema = JsonSchema::new(&json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": { "a/b": { "minimum": 3 } },
            "properties": { "x~/y": { "$ref": "#/definitions/a~1b" } },
            "additionalProperties": { "anyOf": [{ "type": "string" }, { "type": ["null", "array"] }] },
        }));
        let schema = schema.unwrap();
        assert_eq!(schema.check(r#"{"x~/y": 3, "b": null}"#), Ok(()));
        let violation = schema.check(r#"{"x~/y": 2, "b": 1}"#).unwrap_err();
        assert!(violation.contains("at /x~0~1y: must be >=3, but got 2"), "{violation}");
        assert!(violation.contains("at /b: 1 matches no schema of \"anyOf\""), "{violation}");
        let unknown =
            JsonSchema::new(&json!({ "$schema": "https://a.test/mine", "type": "object" }));
        assert!(matches!(unknown, Err(Error::Schema { .. })));
        let types = JsonSchema::new(&json!({ "type": ["null", "array"] })).unwrap();
        assert_eq!(
            types.check("1"),
            Err("at the root: 1 is not of type \"null\" or \"array\"".to_owned())
        );
    }
}
