//! Checks of every request before its route: host, key, shutdown, and the headers of browsers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::error::ApiError;
use super::log::RequestLog;
use crate::error::Error;

/// The headers of answers that scripts of an allowed origin may read.
const EXPOSED: &str = "retry-after, x-tpo-id, x-tpo-score, x-tpo-complete, x-tpo-stopped";

/// Paths that need no key: they show nothing of what is served.
const OPEN: [&str; 3] = ["/", "/health", "/ready"];

/// The name of an endpoint in metrics: a label has few values.
fn endpoint(path: &str) -> &'static str {
    const PATHS: [&str; 7] = [
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/models",
        "/metrics",
        "/health",
        "/ready",
        "/",
    ];
    match PATHS.iter().find(|known| **known == path) {
        Some(known) => known,
        None if path.starts_with("/v1/models/") => "/v1/models",
        None if path == "/v1/tpo" || path.starts_with("/v1/tpo/") => "/v1/tpo",
        None => "other",
    }
}

/// Paths of probes, which name a host of their own.
const PROBES: [&str; 2] = ["/health", "/ready"];

/// Counts and logs a request, and lets it through if its client may send it.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let endpoint = endpoint(request.uri().path());
    let log = RequestLog::new(request.method().as_str(), request.uri().path());
    request.extensions_mut().insert(log.clone());
    let cors = app.options.cors.as_deref().and_then(|origin| Cors::of(origin, &request));
    let mut response = match admit(&app, &log, request) {
        _ if cors.as_ref().is_some_and(|cors| cors.is_preflight) => {
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(cors) = cors {
        cors.allow(headers);
    }
    if app.draining.load(Ordering::Relaxed) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    app.metrics.request(endpoint, response.status().as_u16());
    log.status(response.status());
    response
}

/// The headers of an answer to a page of another origin.
struct Cors {
    origin: HeaderValue,
    is_preflight: bool,
    /// The headers that a page of the origin is about to send.
    asked: Option<HeaderValue>,
}

impl Cors {
    fn of(origin: &str, request: &Request) -> Option<Self> {
        let sent = request.headers().get(header::ORIGIN);
        let is_allowed = origin == "*" || sent.is_some_and(|sent| sent == origin);
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        Some(Self {
            origin: HeaderValue::from_str(origin).ok()?,
            is_preflight: request.method() == Method::OPTIONS,
            asked: asked.filter(|_| is_allowed).cloned(),
        })
    }

    fn allow(self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        if self.is_preflight {
            let methods = HeaderValue::from_static("GET, POST");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        if let Some(asked) = self.asked {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
    }
}

/// Whether a browser can send this text as the origin of a page, or it is `*`.
pub(crate) fn check_origin(origin: &str) -> Result<(), Error> {
    let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
        let is_plain = |c: char| c.is_ascii_graphic() && !"/?#@*".contains(c);
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || b"+-.".contains(&byte))
            && !host.is_empty()
            && host.chars().all(|c| is_plain(c) && !c.is_ascii_uppercase())
    });
    match is_origin || origin == "*" {
        true => Ok(()),
        false => {
            let expected = "an origin as browsers send it, such as https://app.example, or *";
            Err(Error::config("cors", expected, format!("{origin:?}")))
        }
    }
}

fn admit(app: &App, log: &RequestLog, mut request: Request) -> Result<Request, ApiError> {
    let path = request.uri().path();
    if app.options.local_only && !PROBES.contains(&path) && !is_local(request.headers()) {
        return Err(ApiError::invalid(
            "host",
            "expected a request to this machine, as to localhost; a server without keys takes no other",
        ));
    }
    if !OPEN.contains(&path) {
        let client =
            app.options.keys.client(request.headers()).ok_or_else(ApiError::unauthorized)?;
        log.key(app.options.keys.name(client));
        request.extensions_mut().insert(client);
    }
    if request.method() == Method::POST {
        if app.draining.load(Ordering::Relaxed) {
            return Err(ApiError::draining());
        }
        // Web pages send other types to other hosts without asking.
        let text = |name| request.headers().get(name).and_then(|text| text.to_str().ok());
        let kind = text(header::CONTENT_TYPE).map(str::to_ascii_lowercase);
        if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
            return Err(ApiError::invalid(
                "content-type",
                "expected the content type application/json",
            ));
        }
        if let Some(coding) = request.headers().get(header::CONTENT_ENCODING)
            && coding != "identity"
        {
            return Err(ApiError::encoded());
        }
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let limit = app.options.max_body;
        if length.is_some_and(|length| length > limit as u64) {
            return Err(ApiError::too_large(limit));
        }
    }
    Ok(request)
}

/// Whether the host that a request names is this machine.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("example.com", false),
            ("localhost.example.com:80", false),
            ("127.0.0.1.example.com", false),
            ("10.0.0.1:8080", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(is_local(&headers), expected, "{host}");
        }
        assert!(!is_local(&HeaderMap::new()));
    }

    #[test]
    fn endpoints_are_few() {
        assert_eq!(endpoint("/v1/tpo/chatcmpl-1"), "/v1/tpo");
        assert_eq!(endpoint("/v1/chat/completions"), "/v1/chat/completions");
        assert_eq!(endpoint("/v1/tposes"), "other");
    }

    #[test]
    fn origins_that_no_browser_sends_are_refused() {
        for origin in ["*", "https://app.example", "http://localhost:3000", "http://[::1]:80"] {
            assert!(check_origin(origin).is_ok(), "{origin}");
        }
        for origin in [
            "evil.example",
            "https://app.example/",
            "https://",
            "https://App.example",
            "https://*.example",
            "https://a.example, https://b.example",
            "null",
            "",
        ] {
            assert!(check_origin(origin).is_err(), "{origin}");
        }
    }
}
