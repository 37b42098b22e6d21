//! The shape that an answer must have.

use derive_setters::Setters;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest name that servers take, in characters.
const LONGEST_NAME: usize = 64;

/// Why something is no [`Format`].
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

/// The shape that an answer must have: JSON that satisfies a schema.
///
/// The server holds the model to it while it writes, so an answer that was not cut off is JSON of that
/// shape. Which schemas are understood differs between servers: objects whose properties are all required
/// and which allow no others (`"additionalProperties": false`) are understood by all. An engine that cannot
/// hold an answer to a format refuses the request with [`Unsupported`](super::ErrorKind::Unsupported); none
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
/// assert_eq!(request.format.as_ref().map(Format::name), Some("verdict"));
/// # Ok::<(), textgrad_core::FormatError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[serde(try_from = "Wire")]
#[setters(generate = false, prefix = "with_")]
pub struct Format {
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

impl TryFrom<Wire> for Format {
    type Error = FormatError;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        Ok(Self::json_schema(wire.name, wire.schema)?.with_strict(wire.strict))
    }
}

impl Format {
    /// JSON of a [schema](https://json-schema.org), under a descriptive name.
    ///
    /// # Errors
    /// [`FormatError`] if the name is not 1 to 64 ASCII letters, digits, `_` and `-`, or the schema is not an
    /// object.
    pub fn json_schema(name: impl Into<String>, schema: Value) -> Result<Self, FormatError> {
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
        let format = Format::json_schema("a-1_B", json!({"type": "object"})).unwrap();
        for format in [format.clone().with_strict(false), format] {
            let text = serde_json::to_string(&format).unwrap();
            assert_eq!(serde_json::from_str::<Format>(&text).unwrap(), format);
        }
        let bad = json!({"name": "a b", "schema": {}, "strict": true});
        assert!(serde_json::from_value::<Format>(bad).is_err());
    }
}
