//! JSON schemas.

use std::borrow::Cow;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value as Json;
use textgrad_core::{Check, truncate};

use crate::error::Error;

/// How many violations are named at once: enough to mend a text, few enough to read.
const NAMED: usize = 5;
/// How much of one violation is shown, in characters.
const SHOWN: usize = 200;

/// A JSON schema that a text must hold to: the whole text is one JSON document.
///
/// Drafts 4 to 2020-12 are known, by the schema's `$schema`; the newest one without it. Nothing is fetched:
/// a `$ref` to another document is refused. Patterns are matched in linear time (see
/// [`Matches`](super::Matches)).
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
#[derive(Debug, Clone)]
pub struct JsonSchema {
    validator: Arc<Validator>,
    rule: String,
}

impl JsonSchema {
    /// A schema.
    ///
    /// # Errors
    /// [`Error::Schema`] with the place in the schema if it is none, or if it refers to another document.
    pub fn new(schema: &Json) -> Result<Self, Error> {
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        let validator = options.build(schema).map_err(|error| Error::Schema {
            place: place(error.instance_path().as_str()).to_owned(),
            problem: truncate(&error.to_string(), SHOWN),
        })?;
        let rule =
            format!("it is one JSON document, nothing else, after this JSON schema: {schema}");
        Ok(Self { validator: Arc::new(validator), rule })
    }

    /// What it means, in words; else the schema itself is told to models.
    #[must_use]
    pub fn in_words(mut self, rule: impl Into<String>) -> Self {
        self.rule = rule.into();
        self
    }
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the root" } else { pointer }
}

impl Check for JsonSchema {
    fn rule(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.rule)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let document: Json = serde_json::from_str(text)
            .map_err(|error| format!("it is not a JSON document: {error}"))?;
        let mut errors = self.validator.iter_errors(&document);
        let mut violations: Vec<String> = errors
            .by_ref()
            .take(NAMED)
            .map(|error| {
                let pointer = error.instance_path().as_str();
                format!("at {}: {}", place(pointer), truncate(&error.to_string(), SHOWN))
            })
            .collect();
        if violations.is_empty() {
            return Ok(());
        }
        let further = errors.count();
        if further > 0 {
            violations.push(format!("and {further} more"));
        }
        Err(violations.join("\n"))
    }
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
        assert_eq!(violation.lines().count(), NAMED + 1);
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
}
