//! Errors of servers, in all the shapes in which servers write them.

use serde_json::{Map, Value};
use textgrad_core::ErrorKind;

use super::error_class::class;

/// The error object of a server, in any of the known shapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    pub(super) message: String,
    pub(super) class: Option<String>,
    pub(super) code: Option<String>,
    /// The server says how long the model still loads.
    pub(super) loading: bool,
}

/// Fields that hold an error, or a list of errors.
const NESTED: [&str; 4] = ["error", "errors", "base_resp", "fault"];
/// Fields that hold the message of an error.
const MESSAGES: [&str; 10] = [
    "message",
    "msg",
    "error_message",
    "error_msg",
    "errmsg",
    "errorMessage",
    "status_msg",
    "faultstring",
    "detail",
    "error_description",
];
/// Fields that hold its code.
const CODES: [&str; 6] =
    ["code", "error_code", "errorCode", "errcode", "status_code", "statusCode"];
/// Fields of a good reply.
const RESULTS: [&str; 12] = [
    "choices",
    "candidates",
    "content",
    "data",
    "output",
    "result",
    "results",
    "rewards",
    "scores",
    "tokens",
    "message",
    "response",
];
/// What a list of errors tells of itself in a message, at most.
const MAX_ERRORS: usize = 5;

impl ServerError {
    /// Reads the body of a failed reply: `{"error":{..}}` (also inside `{"type":"error",..}`),
    /// `{"error":"text"}`, flat `{"object":"error",..}`, `{"code":..,"msg":..}`, lists of errors, `{"detail":..}`
    /// of FastAPI servers, and Google's `{"error":{"status","details":[{"reason"}]}}`, also as the one item of a
    /// list.
    pub(super) fn from_failure(body: &Value) -> Option<Self> {
        let fields = only_item(body).as_object()?;
        Self::nested(fields).or_else(|| Self::flat(fields))
    }

    /// Reads a body whose status or place does not tell that it is an error: only unmistakable shapes.
    pub(super) fn from_success(body: &Value) -> Option<Self> {
        let fields = only_item(body).as_object()?;
        if let Some(error) = Self::nested(fields) {
            return Some(error);
        }
        let is = |name: &str, words: &[&str]| {
            let word = fields.get(name).and_then(Value::as_str).unwrap_or_default();
            words.iter().any(|known| word.eq_ignore_ascii_case(known))
        };
        let declared = is("object", &["error"])
            || is("type", &["error"])
            || is("status", &["error", "fail", "failed", "failure"])
            || ["success", "ok"].iter().any(|name| fields.get(*name) == Some(&Value::Bool(false)));
        let has_result = RESULTS.iter().any(|name| {
            let result = fields.get(*name);
            result.is_some_and(|result| {
                !is_empty(result) && (*name != "message" || !result.is_string())
            })
        });
        if has_result && !is("object", &["error"]) {
            return None;
        }
        let coded = CODES
            .iter()
            .any(|name| fields.get(*name).is_some_and(|code| !is_empty(code) && !is_success(code)));
        let error = Self::flat(fields);
        match error {
            Some(error) if declared || coded || fields.contains_key("detail") => Some(error),
            None if declared => {
                Some(Self { message: Value::Object(fields.clone()).to_string(), ..Self::default() })
            }
            _ => None,
        }
    }

    /// The error in a field of its own.
    fn nested(fields: &Map<String, Value>) -> Option<Self> {
        let value =
            NESTED.iter().filter_map(|name| fields.get(*name)).find(|value| is_error(value))?;
        let mut error = match value {
            Value::Object(inner) => Self::flat(inner).unwrap_or_else(|| Self {
                message: value.to_string(),
                code: code(inner),
                ..Self::default()
            }),
            Value::Array(items) => Self::list(items),
            Value::String(message) => Self { message: message.clone(), ..Self::default() },
            // `true`, or a number: what it is stands beside it.
            other => Self::flat(fields).unwrap_or_else(|| Self {
                message: Value::Object(fields.clone()).to_string(),
                code: text(other),
                ..Self::default()
            }),
        };
        error.class = error.class.or_else(|| fields.get("error_type").and_then(text));
        error.code = error.code.or_else(|| code(fields));
        error.loading |= fields.contains_key("estimated_time");
        Some(error)
    }

    /// Errors of a list as one: the first has the class.
    fn list(items: &[Value]) -> Self {
        let read = |item: &Value| match item {
            Value::Object(fields) => Self::flat(fields),
            item => text(item).map(|message| Self { message, ..Self::default() }),
        };
        let errors = items.iter().take(MAX_ERRORS).map(|item| {
            read(item).unwrap_or_else(|| Self { message: item.to_string(), ..Self::default() })
        });
        let all = errors.reduce(|mut all, error| {
            all.message = format!("{}; {}", all.message, error.message);
            all
        });
        all.unwrap_or_default()
    }

    fn flat(error: &Map<String, Value>) -> Option<Self> {
        let mut message = MESSAGES.iter().find_map(|name| {
            let value = error.get(*name).filter(|value| !is_empty(value))?;
            text(value)
                .or_else(|| match value {
                    // FastAPI servers put an error of another shape there.
                    Value::Object(inner) => Some(Self::flat(inner)?.message),
                    _ => None,
                })
                .or_else(|| (*name == "detail").then(|| value.to_string()))
        })?;
        // OpenRouter's message is its own, and that of the server behind it stands here.
        if let Some(raw) = error.get("metadata").and_then(|metadata| text(metadata.get("raw")?)) {
            message = format!("{message}: {raw}");
        }
        let inner = error.get("detail").and_then(Value::as_object);
        Some(Self {
            message,
            class: ["type", "__type"]
                .iter()
                .find_map(|name| text(error.get(*name)?))
                .or_else(|| quota(error))
                .or_else(|| details(error).find_map(|detail| text(detail.get("reason")?)))
                .or_else(|| error.get("status").and_then(text))
                .or_else(|| inner.and_then(|inner| text(inner.get("type")?))),
            code: code(error).or_else(|| inner.and_then(code)),
            loading: error.contains_key("estimated_time"),
        })
    }

    /// The class of an error with an HTTP status, or, in a successful reply, without one.
    pub(super) fn kind(&self, status: Option<u16>) -> ErrorKind {
        // Gateways write the status of the server behind them as the code.
        let code = self.code.as_deref().and_then(|code| code.parse().ok());
        let status = status.or(code.filter(|code| (400..=599).contains(code)));
        let words = [Some(self.message.as_str()), self.class.as_deref(), self.code.as_deref()];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        match (class(status, &words.join("\n").to_lowercase()), self.loading) {
            (ErrorKind::Server, true) => ErrorKind::Loading,
            (kind, _) => kind,
        }
    }
}

/// What Google's servers add to the body of an error.
fn details(error: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    error.get("details").and_then(Value::as_array).into_iter().flatten()
}

/// The name of Google's quota that is used up, that of a day before others.
fn quota(error: &Map<String, Value>) -> Option<String> {
    let violations = details(error).filter_map(|detail| detail.get("violations")?.as_array());
    let names = violations.flatten().filter_map(|violation| text(violation.get("quotaId")?));
    names.max_by_key(|name| name.contains("PerDay"))
}

/// Google's servers write the error of a stream that never began as a list.
pub(super) fn only_item(body: &Value) -> &Value {
    match body.as_array().map(Vec::as_slice) {
        Some([only]) => only,
        _ => body,
    }
}

fn code(error: &Map<String, Value>) -> Option<String> {
    CODES.iter().find_map(|name| text(error.get(*name)?))
}

/// Whether the value of a field for errors tells one: an empty one stands beside good answers.
fn is_error(value: &Value) -> bool {
    let succeeded = value.as_object().is_some_and(|fields| {
        let code = CODES.iter().find_map(|name| fields.get(*name));
        let message = MESSAGES.iter().find_map(|name| fields.get(*name));
        code.is_some_and(is_success)
            && message.is_none_or(|message| is_empty(message) || is_success(message))
    });
    !is_empty(value) && !succeeded
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

fn is_success(value: &Value) -> bool {
    const WORDS: [&str; 5] = ["0", "200", "ok", "success", "succeeded"];
    text(value).is_some_and(|text| WORDS.iter().any(|word| text.trim().eq_ignore_ascii_case(word)))
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
            loading: false,
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
            (json!({"error": {"code": 5}}), error(r#"{"code":5}"#, None, Some("5"))),
        ];
        for (body, expected) in cases {
            assert_eq!(ServerError::from_failure(&body), Some(expected.clone()), "{body}");
            assert_eq!(ServerError::from_success(&body), Some(expected), "{body}");
        }
    }

    #[test]
    fn googles_errors_are_read_with_their_reason() {
        let limited = json!({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"},
        ]}});
        for body in [limited.clone(), json!([limited])] {
            let said = ServerError::from_failure(&body).unwrap();
            assert_eq!(said, error("m", Some("RESOURCE_EXHAUSTED"), Some("429")));
        }
        let key = json!({"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
        ]}});
        assert_eq!(ServerError::from_failure(&key).unwrap().kind(Some(400)), ErrorKind::Auth);
    }

    /// Kind: Errors | an empty error beside good answers | no error
    #[test]
    fn a_good_reply_is_not_taken_for_an_error() {
        for body in [
            json!({"error": null, "choices": []}),
            json!({"error": ""}),
            json!({"error": false}),
            json!([1]),
            json!({"message": "m"}),
            json!({"error": {}, "choices": [{}]}),
            json!({"error": {"code": null, "message": ""}, "choices": [{"text": "a"}]}),
            json!({"error": {"code": 0, "message": "success"}, "choices": [{"text": "a"}]}),
            json!({"errors": [], "choices": [{"text": "a"}]}),
            json!({"base_resp": {"status_code": 0, "status_msg": "success"}, "choices": [{"text": "a"}]}),
            json!({"code": 200, "msg": "ok", "data": [{"score": 1}]}),
            json!({"code": 7, "msg": "partly cached", "choices": [{"text": "a"}]}),
            json!({"status": "failed", "output": [{"type": "text"}]}),
            json!({"type": "message_start", "message": {"id": "m"}, "detail": "x"}),
            json!([{"score": 1.0, "label": "error"}]),
        ] {
            assert_eq!(ServerError::from_success(&body), None, "{body}");
        }
        let detail = ServerError::from_failure(&json!({"detail": [{"loc": ["body"]}]}));
        assert_eq!(detail, Some(error(r#"[{"loc":["body"]}]"#, None, None)));
    }

    /// Kind: Errors | an error in a 200, in any of 14 spellings | an error of its class
    #[test]
    fn errors_in_a_200_are_read_in_every_spelling() {
        use ErrorKind::{BadResponse, Quota, RateLimited, Refused, Server};
        for (body, message, kind) in [
            (json!({"error": true, "message": "no slot"}), "no slot", Server),
            (json!({"error": true}), r#"{"error":true}"#, Server),
            (json!({"errors": ["a", {"message": "b"}]}), "a; b", Server),
            (json!({"error": [{"message": "a", "code": 429}]}), "a", RateLimited),
            (json!({"error": {"code": 429}}), r#"{"code":429}"#, RateLimited),
            (json!({"success": false, "msg": "daily limit"}), "daily limit", Quota),
            (json!({"ok": false}), r#"{"ok":false}"#, Server),
            (json!({"status": "error", "message": "m"}), "m", Server),
            (
                json!({"code": 1301, "msg": "sensitive content", "data": null}),
                "sensitive content",
                Refused,
            ),
            (json!({"error_code": 18, "error_msg": "m"}), "m", Server),
            (json!({"detail": "d"}), "d", Server),
            (json!({"detail": {"error": "x", "message": "m", "code": 429}}), "m", RateLimited),
            (
                json!({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": null}),
                "insufficient balance",
                Quota,
            ),
            (
                json!({"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": "r"}},
                "choices": [{"text": "half"}]}),
                "Provider returned error: r",
                Server,
            ),
        ] {
            let error = ServerError::from_success(&body).unwrap();
            assert_eq!(error.message, message, "{body}");
            assert_eq!(error.kind(None), kind, "{body}");
            assert_ne!(kind, BadResponse);
        }
    }

    #[test]
    fn a_code_that_is_no_status_leaves_the_class_to_the_words() {
        assert_eq!(error("m", None, Some("429")).kind(None), ErrorKind::RateLimited);
        assert_eq!(error("m", None, Some("20012")).kind(None), ErrorKind::Server);
        assert_eq!(error("m", Some("insufficient_quota"), None).kind(Some(429)), ErrorKind::Quota);
        assert_eq!(error("m", None, Some("insufficient_quota")).kind(Some(429)), ErrorKind::Quota);
        let day = json!({"error": {"code": 429, "message": "You exceeded your current quota", "details": [
            {"violations": [{"quotaId": "RequestsPerMinutePerProject"}, {"quotaId": "RequestsPerDayPerProject"}]}
        ]}});
        let day = ServerError::from_failure(&day).unwrap();
        assert_eq!(
            (day.class.as_deref(), day.kind(Some(429))),
            (Some("RequestsPerDayPerProject"), ErrorKind::Quota)
        );
    }

    #[test]
    fn an_estimate_of_the_time_is_that_of_a_model_that_loads() {
        let error =
            ServerError::from_failure(&json!({"error": "Unavailable", "estimated_time": 20.0}));
        assert_eq!(error.unwrap().kind(Some(503)), ErrorKind::Loading);
    }
}
