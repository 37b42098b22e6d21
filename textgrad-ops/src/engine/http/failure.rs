//! Replies as JSON or as an error, and the wait that an error asks for.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::shown;
use super::json::{self, JsonError};
use super::report::Report;
use super::server_error::{ServerError, retry_delay};

/// The error of a reply whose status is not one of success.
pub(super) fn failed(
    report: &Report,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> EngineError {
    let body_json = json::read(body).ok();
    let said = body_json.as_ref().and_then(ServerError::from_failure);
    let kind = said.clone().unwrap_or_default().kind_at(status.as_u16());
    let mut error = match (&said, redirect(status, headers)) {
        (Some(said), _) => report.server(kind, said),
        (None, Some(to)) => report.error(
            kind,
            format!("the server redirects to {to}; give that address as the base URL"),
        ),
        (None, None) => report.unreadable(kind, body),
    };
    error = error.with_status(status.as_u16());
    let wish = retry_after(headers, SystemTime::now())
        .or_else(|| body_json.as_ref().and_then(retry_delay))
        .or_else(|| (status == StatusCode::TOO_MANY_REQUESTS).then(|| limits_reset(headers))?);
    if let Some(delay) = wish {
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
    Some(report.server(said.kind(), &said))
}

/// The class and the words of the error inside a part of a reply.
pub(crate) fn error_in(value: &Value) -> Option<(ErrorKind, String)> {
    let said = ServerError::from_success(value)?;
    Some((said.kind(), said.message))
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

/// Reads `retry-after-ms`, then `retry-after` as seconds, then as a date, as the OpenAI clients do.
///
/// A date counts from the server's own `Date`, so that a clock that is wrong here does no harm; `now` stands
/// in where the server sends none. A value that is not a positive number is ignored.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit: f64| {
        let seconds = text.parse::<f64>().ok()? * unit;
        let usable = seconds.is_finite() && seconds > 0.0;
        // A number too large for a duration still asks for a wait.
        usable.then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    };
    if let Some(delay) = text("retry-after-ms").and_then(|text| number(text, 1e-3)) {
        return Some(delay);
    }
    let wish = text(RETRY_AFTER.as_str())?;
    if let Some(delay) = number(wish, 1.0) {
        return Some(delay);
    }
    let until = httpdate::parse_http_date(wish).ok()?;
    let from =
        text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    until.duration_since(from).ok().filter(|delay| !delay.is_zero())
}

/// The wait until the limits that are used up begin anew: of `x-ratelimit-reset-requests` and `-tokens`
/// those whose `x-ratelimit-remaining-*` is 0, the longer one. For a 429 without another header.
fn limits_reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: String| headers.get(name).and_then(|value| value.to_str().ok());
    let reset = |limit: &str| {
        let remaining =
            text(format!("x-ratelimit-remaining-{limit}"))?.trim().parse::<i64>().ok()?;
        let reset = duration(text(format!("x-ratelimit-reset-{limit}"))?)?;
        (remaining <= 0).then_some(reset)
    };
    [reset("requests"), reset("tokens")].into_iter().flatten().max()
}

/// Reads a duration as Go and protocol buffers write it: `36s`, `6m0s`, `1h2m3.5s`, `12ms`. `None` for
/// anything else and for no time at all.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (number, tail) = rest.split_at_checked(rest.find(|c| !is_digit(c))?)?;
        let (unit, tail) = tail.split_at_checked(tail.find(is_digit).unwrap_or(tail.len()))?;
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reqwest::{Method, Url};

    use super::super::report::Redactor;
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

    fn read(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        retry_after(&map, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn milliseconds_go_before_seconds() {
        assert_eq!(
            read(&[("retry-after-ms", "1500"), ("retry-after", "9")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            read(&[("retry-after-ms", "soon"), ("retry-after", "9")]),
            Some(Duration::from_secs(9))
        );
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(read(&[("retry-after", "0.25")]), Some(Duration::from_millis(250)));
        assert_eq!(read(&[("retry-after", "1e300")]), Some(Duration::MAX));
    }

    #[test]
    fn a_date_counts_from_the_servers_date_or_from_now() {
        let wish = ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT");
        assert_eq!(read(&[wish]), Some(Duration::from_secs(20)));
        let date = ("date", "Sun, 06 Nov 1994 08:49:47 GMT");
        assert_eq!(read(&[wish, date]), Some(Duration::from_secs(10)));
        let past = ("date", "Sun, 06 Nov 1994 09:49:47 GMT");
        assert_eq!(read(&[wish, past]), None);
    }

    #[test]
    fn what_is_no_wait_says_nothing() {
        for value in ["0", "-1", "NaN", "inf", "", "tomorrow"] {
            assert_eq!(read(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn durations_of_go_are_read() {
        for (text, milliseconds) in [
            ("1s", 1000),
            ("36.5s", 36_500),
            ("6m0s", 360_000),
            ("12ms", 12),
            ("1h2m3.5s", 3_723_500),
            ("2m59.56s", 179_560),
            (" 1500us ", 1),
        ] {
            let read = duration(text).unwrap();
            assert_eq!(read.as_millis(), milliseconds, "{text}");
        }
        for text in ["", "0s", "5", "s", "-1s", "1.2.3s", "1d", "soon", "1s later", "é"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_begins_anew() {
        let reset = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            limits_reset(&map)
        };
        let requests =
            [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "8.64s")];
        let tokens = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m3s")];
        let left = [("x-ratelimit-remaining-tokens", "17"), ("x-ratelimit-reset-tokens", "1m3s")];
        assert_eq!(reset(&requests), Some(Duration::from_millis(8640)));
        assert_eq!(reset(&[requests, left].concat()), Some(Duration::from_millis(8640)));
        assert_eq!(reset(&[requests, tokens].concat()), Some(Duration::from_secs(63)));
        assert_eq!(reset(&left), None);
        assert_eq!(reset(&tokens[1..]), None);
    }
}
