//! Errors of servers: their shapes, and their class by status, code and words.

use std::time::Duration;

use serde_json::Value;
use textgrad_core::ErrorKind;

use super::failure::duration;

/// The words by which servers name the class of an error. The first that fits counts.
const WORDS: [(ErrorKind, &[&str]); 6] = [
    (ErrorKind::Quota, &["insufficient_quota", "billing_error"]),
    (ErrorKind::RateLimited, &["rate_limit_error", "rate_limit_exceeded"]),
    (ErrorKind::Auth, &["authentication_error", "permission_error", "invalid_api_key"]),
    (ErrorKind::NotFound, &["not_found_error", "NotFoundError", "model_not_found"]),
    (ErrorKind::InvalidRequest, &["invalid_request_error", "BadRequestError", "request_too_large"]),
    (ErrorKind::Timeout, &["timeout_error"]),
];

/// Advice for an error of a class, where something can be done.
pub(super) fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Auth => "; check the key and what it is allowed to do",
        ErrorKind::Quota => "; check the account's plan and credit",
        ErrorKind::NotFound => "; check the base URL and the name of the model",
        _ => "",
    }
}

/// The error object of a server, in any of the known shapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    pub(super) message: String,
    pub(super) class: Option<String>,
    pub(super) code: Option<String>,
}

impl ServerError {
    /// Reads the body of a failed reply: `{"error":{..}}` (also inside `{"type":"error",..}`),
    /// `{"error":"text"}`, flat `{"object":"error",..}`, `{"detail":..}` of FastAPI servers, and Google's
    /// `{"error":{"status","details":[{"reason"}]}}`, also as the one item of a list.
    pub(super) fn from_failure(body: &Value) -> Option<Self> {
        let body = only_item(body);
        Self::nested(body).or_else(|| Self::flat(body)).or_else(|| {
            let detail = body.get("detail").filter(|detail| !detail.is_null())?;
            Some(Self {
                message: text(detail).unwrap_or_else(|| detail.to_string()),
                ..Self::default()
            })
        })
    }

    /// Reads a body whose status or place does not tell that it is an error: only unmistakable shapes.
    pub(super) fn from_success(body: &Value) -> Option<Self> {
        let flat = body.get("object").and_then(Value::as_str) == Some("error");
        Self::nested(body).or_else(|| flat.then(|| Self::flat(body)).flatten())
    }

    fn nested(body: &Value) -> Option<Self> {
        match body.get("error")? {
            error @ Value::Object(_) => Self::flat(error)
                .or_else(|| Some(Self { message: error.to_string(), ..Self::default() })),
            Value::String(message) if !message.is_empty() => Some(Self {
                message: message.clone(),
                class: body.get("error_type").and_then(text),
                code: None,
            }),
            _ => None,
        }
    }

    fn flat(error: &Value) -> Option<Self> {
        Some(Self {
            message: error.get("message").and_then(text)?,
            class: error
                .get("type")
                .and_then(text)
                .or_else(|| details(error).find_map(|detail| text(detail.get("reason")?)))
                .or_else(|| error.get("status").and_then(text)),
            code: error.get("code").and_then(text),
        })
    }

    /// The class of an error by its words alone, without an HTTP status.
    pub(super) fn kind(&self) -> ErrorKind {
        if let Some(code) = self.code.as_deref().and_then(|code| code.parse().ok()) {
            return self.kind_at(code);
        }
        let known = WORDS.iter().find(|(_, words)| self.has_word(words));
        known.map_or(ErrorKind::Server, |(kind, _)| *kind)
    }

    fn has_word(&self, words: &[&str]) -> bool {
        [&self.class, &self.code].into_iter().flatten().any(|word| words.contains(&word.as_str()))
    }

    /// The class of an error with an HTTP status.
    pub(super) fn kind_at(&self, status: u16) -> ErrorKind {
        match status {
            401 | 403 => ErrorKind::Auth,
            // Google's word for a wrong key.
            400 if self.has_word(&["API_KEY_INVALID"]) => ErrorKind::Auth,
            402 => ErrorKind::Quota,
            404 => ErrorKind::NotFound,
            408 => ErrorKind::Timeout,
            // A conflict on the server's side: it passes.
            409 => ErrorKind::Server,
            429 if self.has_word(&["insufficient_quota"]) => ErrorKind::Quota,
            429 => ErrorKind::RateLimited,
            300..=499 => ErrorKind::InvalidRequest,
            500..=599 => ErrorKind::Server,
            _ => ErrorKind::BadResponse,
        }
    }
}

/// What Google's servers add to the body of an error.
fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error.get("details").and_then(Value::as_array).into_iter().flatten()
}

/// Google's servers write the error of a stream that never began as a list.
fn only_item(body: &Value) -> &Value {
    match body.as_array().map(Vec::as_slice) {
        Some([only]) => only,
        _ => body,
    }
}

/// The wait that the body of an error asks for: Google's `RetryInfo`.
pub(super) fn retry_delay(body: &Value) -> Option<Duration> {
    let error = only_item(body).get("error")?;
    details(error).find_map(|detail| duration(detail.get("retryDelay")?.as_str()?))
}

/// A string, or a number as a string: `code` is one or the other.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(message: &str, class: Option<&str>, code: Option<&str>) -> ServerError {
        ServerError {
            message: message.into(),
            class: class.map(Into::into),
            code: code.map(Into::into),
        }
    }

    #[test]
    fn every_shape_is_read() {
        let cases = [
            (
                json!({"error": {"message": "m", "type": "t", "param": null, "code": "c"}}),
                error("m", Some("t"), Some("c")),
            ),
            (
                json!({"error": {"message": "m", "type": "t", "code": 400}}),
                error("m", Some("t"), Some("400")),
            ),
            (
                json!({"error": {"message": "m", "type": "t", "code": null}}),
                error("m", Some("t"), None),
            ),
            (json!({"error": "Unauthorized"}), error("Unauthorized", None, None)),
            (
                json!({"error": "busy", "error_type": "overloaded"}),
                error("busy", Some("overloaded"), None),
            ),
            (
                json!({"object": "error", "message": "m", "type": "t", "param": null, "code": 404}),
                error("m", Some("t"), Some("404")),
            ),
            (
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}, "request_id": "r"}),
                error("m", Some("overloaded_error"), None),
            ),
            (json!({"error": {"code": 5}}), error(r#"{"code":5}"#, None, None)),
        ];
        for (body, expected) in cases {
            assert_eq!(ServerError::from_failure(&body), Some(expected.clone()), "{body}");
            assert_eq!(ServerError::from_success(&body), Some(expected), "{body}");
        }
    }

    #[test]
    fn googles_errors_are_read_with_their_reason_and_wait() {
        let limited = json!({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"},
        ]}});
        for body in [limited.clone(), json!([limited])] {
            let said = ServerError::from_failure(&body).unwrap();
            assert_eq!(said, error("m", Some("RESOURCE_EXHAUSTED"), Some("429")));
            assert_eq!(retry_delay(&body), Some(Duration::from_millis(36_500)));
        }
        assert_eq!(retry_delay(&json!({"error": {"message": "m"}})), None);
        let key = json!({"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
        ]}});
        assert_eq!(ServerError::from_failure(&key).unwrap().kind_at(400), ErrorKind::Auth);
    }

    #[test]
    fn a_good_reply_is_not_taken_for_an_error() {
        for body in [
            json!({"error": null, "choices": []}),
            json!({"error": ""}),
            json!({"error": false}),
            json!([1]),
            json!({"message": "m"}),
            json!({"detail": "d"}),
        ] {
            assert_eq!(ServerError::from_success(&body), None, "{body}");
        }
        let detail = ServerError::from_failure(&json!({"detail": [{"loc": ["body"]}]}));
        assert_eq!(detail, Some(error(r#"[{"loc":["body"]}]"#, None, None)));
    }

    #[test]
    fn a_status_has_its_class() {
        use ErrorKind::*;
        let plain = ServerError::default();
        let table = [
            (301, InvalidRequest),
            (400, InvalidRequest),
            (401, Auth),
            (402, Quota),
            (403, Auth),
            (404, NotFound),
            (408, Timeout),
            (409, Server),
            (413, InvalidRequest),
            (422, InvalidRequest),
            (429, RateLimited),
            (500, Server),
            (502, Server),
            (503, Server),
            (504, Server),
            (529, Server),
        ];
        for (status, kind) in table {
            assert_eq!(plain.kind_at(status), kind, "{status}");
        }
        assert_eq!(error("m", Some("insufficient_quota"), None).kind_at(429), Quota);
        assert_eq!(error("m", None, Some("insufficient_quota")).kind_at(429), Quota);
    }

    #[test]
    fn an_error_without_a_status_has_the_class_of_its_words() {
        assert_eq!(error("m", None, Some("429")).kind(), ErrorKind::RateLimited);
        assert_eq!(error("m", Some("rate_limit_error"), None).kind(), ErrorKind::RateLimited);
        assert_eq!(
            error("m", Some("invalid_request_error"), None).kind(),
            ErrorKind::InvalidRequest
        );
        assert_eq!(error("m", Some("overloaded_error"), None).kind(), ErrorKind::Server);
        assert_eq!(error("m", None, None).kind(), ErrorKind::Server);
    }
}
