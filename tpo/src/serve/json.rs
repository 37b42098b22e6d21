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
