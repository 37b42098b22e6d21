//! Replies as JSON or as an error, and the errors of one exchange, named alike and free of secrets.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::shown;
use super::error_class::advice;
use super::json::{self, JsonError};
use super::redact::Redactor;
use super::server_error::ServerError;
use super::waits;

/// The error of a reply whose status is not one of success.
pub(super) fn failed(
    report: &Report,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> EngineError {
    let body_json = json::read(body).ok();
    let said = body_json.as_ref().and_then(ServerError::from_failure);
    // A page is no message.
    let is_text = body_json.is_none() && !body.trim_ascii_start().starts_with(b"<");
    let message = if is_text { report.quote(body) } else { String::new() };
    let words = said.clone().unwrap_or_else(|| ServerError { message, ..ServerError::default() });
    let kind = words.kind(Some(status.as_u16()));
    let mut error = match (&said, redirect(status, headers)) {
        (Some(said), _) => report.server(kind, said),
        (None, Some(to)) => report.error(
            kind,
            format!("the server redirects to {to}; give that address as the base URL"),
        ),
        (None, None) => report.unreadable(kind, body),
    };
    error = error.with_status(status.as_u16());
    let in_headers = waits::retry_after(headers, SystemTime::now());
    let delay = in_headers
        .or_else(|| waits::in_body(body_json.as_ref()?))
        .or_else(|| kind.is_retryable().then(|| waits::in_text(&words.message))?)
        .or_else(|| {
            (status == StatusCode::TOO_MANY_REQUESTS).then(|| waits::limits_reset(headers))?
        });
    if let Some(delay) = delay {
        error = error.with_retry_after(delay);
    }
    match headers.get("x-should-retry").map(reqwest::header::HeaderValue::as_bytes) {
        Some(b"true") => error.with_retryable(true),
        Some(b"false") => error.with_retryable(false),
        _ => error,
    }
}

/// Redirects are not followed: a POST would become a GET, and headers with keys would go along.
fn redirect(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION).filter(|_| status.is_redirection())?;
    let location = location.to_str().ok()?;
    Some(
        reqwest::Url::parse(location).map_or_else(|_| "another path".to_owned(), |url| shown(&url)),
    )
}

/// The JSON of a reply whose status is one of success.
pub(super) fn succeeded(report: &Report, body: &[u8]) -> Result<Value, EngineError> {
    let value = json::read(body).map_err(|error| not_json(report, body, error))?;
    match in_band(report, &value) {
        Some(error) => Err(error),
        None => Ok(value),
    }
}

/// The error inside a body or an event of a successful reply.
pub(super) fn in_band(report: &Report, value: &Value) -> Option<EngineError> {
    let said = ServerError::from_success(value)?;
    let error = report.server(said.kind(None), &said);
    let delay = waits::in_body(value).or_else(|| waits::in_text(&said.message));
    Some(match delay.filter(|_| error.is_retryable()) {
        Some(delay) => error.with_retry_after(delay),
        None => error,
    })
}

/// The class and the words of the error inside a part of a reply.
pub(crate) fn error_in(value: &Value) -> Option<(ErrorKind, String)> {
    let said = ServerError::from_success(value)?;
    Some((said.kind(None), said.message))
}

/// The error of a body or an event that is not JSON, or too much of it.
pub(super) fn not_json(report: &Report, body: &[u8], error: JsonError) -> EngineError {
    let error = match error {
        JsonError::TooMany => {
            let what = "the reply has more values than any answer; ask for less";
            return report.error(ErrorKind::BadResponse, what).with_retryable(false);
        }
        JsonError::Syntax(error) => error,
    };
    let what = if body.trim_ascii_start().is_empty() {
        "an empty body".to_owned()
    } else if body.trim_ascii_start().starts_with(b"<") {
        format!("an HTML page (`{}`); check the base URL", report.quote(body))
    } else if error.is_eof() {
        format!("JSON that is cut off after {} bytes", body.len())
    } else {
        format!("`{}`", report.quote(body))
    };
    report.error(ErrorKind::BadResponse, format!("expected JSON, got {what}")).with_source(error)
}

/// The longest text of a server that a message repeats, in characters.
const LONGEST_QUOTE: usize = 300;

/// Makes the errors of one exchange: each names method, host and path, and none names a secret.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    target: String,
    redactor: Arc<Redactor>,
}

impl Report {
    pub(super) fn new(method: &Method, url: &Url, redactor: Arc<Redactor>) -> Self {
        Self { target: format!("{method} {}", shown(url)), redactor }
    }

    /// An error of this exchange in the caller's words.
    pub(crate) fn error(&self, kind: ErrorKind, what: impl AsRef<str>) -> EngineError {
        EngineError::new(kind, format!("{}: {}", self.target, what.as_ref()))
    }

    /// An error that was made without knowledge of the exchange, as one of it.
    pub(crate) fn locate(&self, error: EngineError) -> EngineError {
        // It may repeat words of the reply.
        let message = self.redactor.quote(error.message(), usize::MAX);
        error.with_message(format!("{}: {message}", self.target))
    }

    /// The beginning of a body, fit for a message.
    pub(crate) fn quote(&self, body: &[u8]) -> String {
        self.redactor.truncate(body, LONGEST_QUOTE)
    }

    /// A request that got no reply, or only a part of one.
    pub(super) fn transport(&self, error: reqwest::Error, timeout: Duration) -> EngineError {
        let error = error.without_url();
        let (kind, what) = if error.is_connect() {
            (
                ErrorKind::Connection,
                "could not connect; check that the server runs and the address is right".to_owned(),
            )
        } else if error.is_timeout() {
            (ErrorKind::Timeout, format!("no whole reply within {timeout:?}"))
        } else if error.is_builder() {
            (ErrorKind::InvalidRequest, "the request could not be built".to_owned())
        } else {
            (ErrorKind::Connection, "the connection broke before the reply was whole".to_owned())
        };
        self.error(kind, what).with_source(error)
    }

    /// A reply that holds an error of the server; `kind` and status are the caller's to set.
    pub(super) fn server(&self, kind: ErrorKind, error: &ServerError) -> EngineError {
        let message = self.quote(error.message.as_bytes());
        let words = [error.class.as_deref(), error.code.as_deref()];
        let words: Vec<&str> =
            words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
        let words = match words.as_slice() {
            [] => String::new(),
            words => format!(" [{}]", self.redactor.quote(&words.join(", "), 80)),
        };
        let what = format!("the server says: {message}{words}{}", advice(kind));
        self.error(kind, what).with_server_words(message)
    }

    /// A failed reply in no known shape.
    pub(super) fn unreadable(&self, kind: ErrorKind, body: &[u8]) -> EngineError {
        let quote = self.quote(body);
        let what = if quote.is_empty() {
            "the server failed without saying why".to_owned()
        } else {
            format!("the server failed with `{quote}`")
        };
        let is_page = body.trim_ascii_start().starts_with(b"<");
        let advice = match kind {
            ErrorKind::Auth if is_page => {
                "; a proxy or a firewall before the server refuses the request"
            }
            kind => advice(kind),
        };
        self.error(kind, format!("{what}{advice}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use reqwest::{Method, Url};

    use super::super::redact::Redactor;
    use super::*;

    fn report() -> Report {
        let url = Url::parse("http://user:pw@host:1/v1/chat?k=v").unwrap();
        Report::new(&Method::POST, &url, Arc::new(Redactor::new(["sk-secret".into()])))
    }

    fn fail(status: u16, headers: &[(&'static str, &str)], body: &str) -> EngineError {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        failed(&report(), StatusCode::from_u16(status).unwrap(), &map, body.as_bytes())
    }

    #[test]
    fn a_message_names_host_path_words_and_advice() {
        let error = fail(
            401,
            &[],
            r#"{"error":{"message":"Incorrect API key: sk-secret","type":"t","code":"c"}}"#,
        );
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert_eq!(
            error.to_string(),
            "POST http://host:1/v1/chat: the server says: Incorrect API key: [redacted] [t, c]; check the key and what it is allowed to do (HTTP 401)"
        );
    }

    #[test]
    fn the_servers_word_on_retrying_overrides_the_class() {
        assert!(fail(500, &[], "").is_retryable());
        assert!(!fail(500, &[("x-should-retry", "false")], "").is_retryable());
        assert!(!fail(400, &[], "").is_retryable());
        assert!(fail(400, &[("x-should-retry", "true")], "").is_retryable());
        assert!(fail(409, &[("x-should-retry", "maybe")], "").is_retryable());
    }

    #[test]
    fn a_wait_is_kept() {
        let error = fail(
            429,
            &[("retry-after", "1.5")],
            r#"{"error":{"message":"slow","code":"rate_limit_exceeded"}}"#,
        );
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        let error = fail(429, &[], r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#);
        assert_eq!(error.kind(), ErrorKind::Quota);
        assert!(!error.is_retryable());
    }

    #[test]
    fn the_wait_of_a_429_is_looked_for_in_headers_then_body_then_limits() {
        let body = r#"{"error":{"message":"m","code":429,"details":[{"retryDelay":"36s"}]}}"#;
        let limits = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m3s")];
        let wait = |status, headers: &[(&'static str, &str)], body| {
            fail(status, headers, body).retry_after().map(|wait| wait.as_secs())
        };
        let all = [&limits[..], &[("retry-after", "7")]].concat();
        assert_eq!(wait(429, &all, body), Some(7));
        assert_eq!(wait(429, &limits, body), Some(36));
        assert_eq!(wait(429, &limits, "{}"), Some(63));
        assert_eq!(wait(503, &limits, "{}"), None);
    }

    #[test]
    fn a_page_of_a_proxy_is_quoted_shortly() {
        let page = format!("<html>\n <h1>502 Bad\n Gateway</h1>{}", "x".repeat(5000));
        let error = fail(502, &[], &page);
        assert_eq!(error.kind(), ErrorKind::Server);
        assert!(error.to_string().contains("<html> <h1>502 Bad Gateway</h1>xxx"), "{error}");
        assert!(error.to_string().chars().count() < 450);
    }

    #[test]
    fn a_redirect_is_named_without_its_query() {
        let error = fail(308, &[("location", "https://other/v1?token=abc")], "");
        assert!(!error.is_retryable());
        assert!(error.to_string().contains("redirects to https://other/v1;"), "{error}");
    }

    #[test]
    fn what_is_not_json_is_named() {
        let said = |body: &str| succeeded(&report(), body.as_bytes()).unwrap_err();
        assert!(said(" ").to_string().ends_with("expected JSON, got an empty body"));
        assert!(said("<!doctype html>").to_string().contains("an HTML page (`<!doctype html>`)"));
        assert!(said(r#"{"choices":[{"#).to_string().contains("cut off after 13 bytes"));
        assert!(said("no sk-secret").to_string().ends_with("got `no [redacted]`"));
        assert_eq!(said("x").kind(), ErrorKind::BadResponse);
    }

    #[test]
    fn an_error_in_a_successful_reply_is_an_error() {
        let error =
            succeeded(&report(), br#"{"error":{"message":"upstream","code":429}}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.status(), None);
        assert_eq!(succeeded(&report(), b"[1]").unwrap(), serde_json::json!([1]));
    }

    #[test]
    fn a_wait_is_read_from_texts_and_bodies() {
        let wait = |status, headers: &[(&'static str, &str)], body: &str| {
            fail(status, headers, body).retry_after().map(|wait| wait.as_secs())
        };
        assert_eq!(wait(429, &[("retry-after", "17s")], "{}"), Some(17));
        assert_eq!(
            wait(429, &[], r#"{"error":{"message":"Please try again in 6m0s."}}"#),
            Some(360)
        );
        assert_eq!(wait(503, &[], "Busy, retry after 20 seconds"), Some(20));
        assert_eq!(wait(503, &[], r#"{"error":"m is loading","estimated_time":30.5}"#), Some(30));
        // The text of an invalid request is the caller's.
        assert_eq!(wait(400, &[], r#"{"error":{"message":"got `try again in 5s`"}}"#), None);
        let body = br#"{"error":{"message":"try again in 9s","code":429}}"#;
        assert_eq!(
            succeeded(&report(), body).unwrap_err().retry_after(),
            Some(Duration::from_secs(9))
        );
    }

    #[test]
    fn a_text_that_is_no_json_has_the_class_of_its_words() {
        assert_eq!(fail(503, &[], "Loading model").kind(), ErrorKind::Loading);
        assert_eq!(fail(429, &[], "daily limit reached").kind(), ErrorKind::Quota);
        assert_eq!(fail(503, &[], "<html>The site is loading</html>").kind(), ErrorKind::Server);
        let refused =
            fail(403, &[], r#"{"error":{"message":"Your input was flagged","code":403}}"#);
        assert_eq!(refused.kind(), ErrorKind::Refused);
        let message =
            "POST http://host:1/v1/chat: the server says: Your input was flagged [403] (HTTP 403)";
        assert_eq!(refused.to_string(), message);
    }
}
