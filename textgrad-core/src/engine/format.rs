//! The shape that an answer must have.

use std::sync::Arc;

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest name that servers take, in characters.
const LONGEST_NAME: usize = 64;

/// Why something is no [`JsonSchema`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The name is not one that servers take.
    #[error(
        "expected a name of 1 to 64 letters, digits, underscores and dashes (OpenAI takes no other), got {0:?}"
    )]
    Name(String),
    /// The schema is not an object.
    #[error("expected a JSON schema, which is an object such as {{\"type\":\"object\"}}, got {0}")]
    Schema(String),
}

/// The shape that an answer must have.
///
/// The server holds the model to it while it writes, so an answer that was not cut off has that shape. An engine that
/// cannot hold an answer to a format refuses the request with [`Unsupported`](super::ErrorKind::Unsupported); none
/// ignores it.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use textgrad_core::{Format, Message, Purpose, Request};
///
/// let verdict = Format::json_schema(
///     "verdict",
///     json!({
///         "type": "object",
///         "properties": {"better": {"enum": ["A", "B"]}},
///         "required": ["better"],
///         "additionalProperties": false,
///     }),
/// )?;
/// let request = Request::new(Purpose::Judge, [Message::user("A or B?")]).with_format(verdict);
/// assert!(matches!(&request.format, Some(Format::JsonSchema(schema)) if schema.name() == "verdict"));
///
/// let letter = Format::grammar(r#"root ::= "A" | "B""#);
/// let request = Request::new(Purpose::Judge, [Message::user("A or B?")]).with_format(letter);
/// # Ok::<(), textgrad_core::FormatError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Format {
    /// JSON that satisfies a schema.
    JsonSchema(JsonSchema),
    /// A text of a grammar.
    #[non_exhaustive]
    Grammar {
        /// The grammar, in GBNF.
        grammar: Arc<str>,
    },
}

impl Format {
    /// JSON that satisfies a schema; see [`JsonSchema::new`].
    ///
    /// # Errors
    /// Those of [`JsonSchema::new`].
    pub fn json_schema(name: impl Into<String>, schema: Value) -> Result<Self, FormatError> {
        JsonSchema::new(name, schema).map(Self::JsonSchema)
    }

    /// A text of the grammar's rule `root`, in
    /// [GBNF](https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md), the notation of llama.cpp, which
    /// XGrammar reads too. It is not checked here.
    pub fn grammar(text: impl Into<Arc<str>>) -> Self {
        Self::Grammar { grammar: text.into() }
    }
}

/// JSON of a [schema](https://json-schema.org).
///
/// Which schemas are understood differs between servers: objects whose properties are all required and which allow no
/// others (`"additionalProperties": false`) are understood by all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[serde(try_from = "Wire")]
#[setters(generate = false, prefix = "with_")]
pub struct JsonSchema {
    name: String,
    schema: Map<String, Value>,
    /// Whether a server that knows both must hold the answer to the schema (the default), or may treat it as
    /// a hint and take schemas that it could not enforce. Only OpenAI's own servers know the difference.
    #[setters(generate)]
    strict: bool,
}

/// A format as it is written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: String,
    schema: Value,
    strict: bool,
}

impl TryFrom<Wire> for JsonSchema {
    type Error = FormatError;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        Ok(Self::new(wire.name, wire.schema)?.with_strict(wire.strict))
    }
}

impl JsonSchema {
    /// JSON of a schema, under a descriptive name.
    ///
    /// # Errors
    /// [`FormatError`] if the name is not 1 to 64 ASCII letters, digits, `_` and `-`, or the schema is not an
    /// object.
    pub fn new(name: impl Into<String>, schema: Value) -> Result<Self, FormatError> {
        let name = name.into();
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if name.is_empty() || name.len() > LONGEST_NAME || !plain {
            return Err(FormatError::Name(crate::variable::truncate(&name, 80)));
        }
        match schema {
            Value::Object(schema) => Ok(Self { name, schema, strict: true }),
            other => Err(FormatError::Schema(crate::variable::truncate(&other.to_string(), 80))),
        }
    }

    /// What the answer is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Map<String, Value> {
        &self.schema
    }

    /// Whether the schema must be enforced.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_server_takes_is_refused() {
        let long = "x".repeat(65);
        for name in ["", "two words", "ä", "a.b", &long] {
            let error = Format::json_schema(name, json!({})).unwrap_err();
            assert!(error.to_string().contains("1 to 64 letters"), "{error}");
        }
        for schema in [json!(null), json!([]), json!("object"), json!(true)] {
            let error = Format::json_schema("x", schema.clone()).unwrap_err();
            assert!(error.to_string().ends_with(&format!("got {schema}")), "{error}");
        }
        assert!(Format::json_schema("x".repeat(64), json!({})).is_ok());
    }

    #[test]
    fn it_survives_json_and_is_checked_there() {
        let schema = JsonSchema::new("a-1_B", json!({"type": "object"})).unwrap();
        let loose = schema.clone().with_strict(false);
        let grammar = Format::grammar("root ::= [a-z]+");
        for format in [Format::JsonSchema(schema), Format::JsonSchema(loose), grammar] {
            let text = serde_json::to_string(&format).unwrap();
            assert_eq!(serde_json::from_str::<Format>(&text).unwrap(), format);
        }
        let bad = json!({"name": "a b", "schema": {}, "strict": true});
        assert!(serde_json::from_value::<Format>(bad).is_err());
    }
}
