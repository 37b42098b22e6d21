//! Fields of JSON values that may be missing.

use serde_json::Value as Json;

/// A field of an object; null where there is none.
pub(crate) fn field<'a>(json: &'a Json, name: &str) -> &'a Json {
    json.get(name).unwrap_or(&Json::Null)
}

/// Sets a field of an object. Other values stay as they are.
pub(crate) fn set(json: &mut Json, name: &str, value: impl Into<Json>) {
    if let Json::Object(fields) = json {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Where a text stops being JSON, in words.
pub(crate) fn syntax(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.is_eof() {
        true => "expected JSON, which ends too early".to_owned(),
        false => format!("expected JSON, which it is not at line {line}, column {column}"),
    }
}

/// The path of a field, at the beginning of a text about it.
pub(crate) fn path_of(text: &str) -> &str {
    text.split([':', ' ']).next().unwrap_or(text)
}
