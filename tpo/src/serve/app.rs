//! The state of a server, and what every request goes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use textgrad_core::truncate;
use tokio::time::{Instant, timeout};

use super::admission::{Admission, AdmissionBounds, Permit};
use super::builder::ServerBuilder;
use super::error::ApiError;
use super::keys::Client;
use super::metrics::{Load, Metrics};
use super::options::{MaxSearch, SearchOptions, Target, target};
use super::recent::Recent;
use super::request::Ask;
use super::search::Job;
use crate::journal::digest;
use crate::search::Tpo;

/// The header with search options, as JSON.
const OPTIONS_HEADER: &str = "x-tpo";

/// What the requests of a server share.
pub(crate) struct App {
    pub(crate) tpo: Tpo,
    pub(crate) options: ServerBuilder,
    pub(crate) admission: Admission,
    pub(crate) metrics: Metrics,
    pub(crate) recent: Recent,
    pub(crate) simulated: bool,
    pub(crate) draining: AtomicBool,
    pub(crate) connections: AtomicUsize,
    pub(crate) created: u64,
    /// Requests that were passed through.
    pub(crate) passed: AtomicUsize,
    searches: AtomicUsize,
    ids: AtomicU64,
    /// Differs from that of other servers, for ids.
    nonce: String,
}

/// A request, once it is known what it asks for.
pub(crate) enum Asked {
    /// The policy alone serves it.
    Policy(Box<Ask>),
    Search(Box<Job>),
}

impl App {
    pub(crate) fn new(options: ServerBuilder) -> Self {
        let bounds = AdmissionBounds {
            running: options.max_in_flight,
            queued: options.max_queued,
            per_client: options.max_per_key,
            wait: options.queue_timeout,
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nonce = format!("{}-{}", since.as_nanos(), std::process::id());
        Self {
            tpo: options.tpo.clone(),
            admission: Admission::new(bounds),
            metrics: Metrics::default(),
            recent: Recent::new(options.recent),
            simulated: options.tpo.is_simulation(),
            draining: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            created: since.as_secs(),
            passed: AtomicUsize::new(0),
            searches: AtomicUsize::new(0),
            ids: AtomicU64::new(0),
            nonce,
            options,
        }
    }

    /// An id that no other request has.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        let hash = digest([self.nonce.as_str(), &number.to_string()]);
        format!("{prefix}-{}", hash.get(..24).unwrap_or(&hash))
    }

    pub(crate) fn load(&self) -> Load {
        let (in_flight, queued) = self.admission.load();
        let connections = self.connections.load(Ordering::Relaxed);
        Load { in_flight, queued, connections, ready: !self.draining.load(Ordering::Relaxed) }
    }

    /// The body of a request, within its bounds.
    pub(crate) async fn body(&self, body: Body) -> Result<axum::body::Bytes, ApiError> {
        let limit = self.options.max_body;
        match timeout(self.options.read_timeout, to_bytes(body, limit)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) => Err(ApiError::too_large(limit)),
            Err(_) => Err(ApiError::slow_request()),
        }
    }

    /// Finds out what a request asks for.
    pub(crate) fn asked(
        &self,
        ask: Ask,
        headers: &HeaderMap,
        client: Client,
        arrived: Instant,
        prefix: &str,
    ) -> Result<Asked, ApiError> {
        let of_model = match target(&ask.model, &self.options.presets) {
            Some(Target::Policy) => return Ok(Asked::Policy(Box::new(ask))),
            Some(Target::Search(options)) => *options,
            None => {
                let name = truncate(&ask.model, 80);
                let message = format!(
                    "the model {name:?} does not exist; GET /v1/models lists those that do"
                );
                return Err(ApiError::model_not_found(message));
            }
        };
        if let Some(first) = ask.direct.first() {
            if self.options.unsearchable == super::builder::Unsearchable::Pass {
                return Ok(Asked::Policy(Box::new(ask)));
            }
            let message = format!(
                "{first} cannot be served with a search; send the request to the model {:?}, which has none",
                super::options::POLICY
            );
            return Err(ApiError::invalid(first.as_str(), message));
        }
        let of_header = match headers.get(OPTIONS_HEADER) {
            None => SearchOptions::default(),
            Some(value) => {
                let json = serde_json::from_slice(value.as_bytes()).map_err(|error| {
                    let message = format!("the header {OPTIONS_HEADER}: expected JSON: {error}");
                    ApiError::invalid(OPTIONS_HEADER, message)
                })?;
                SearchOptions::read(&json, OPTIONS_HEADER)?
            }
        };
        let options = ask.options.clone().or(&of_header).or(&of_model);
        let deadline = self
            .options
            .deadline
            .map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
        let options = SearchOptions { deadline_ms: options.deadline_ms.or(deadline), ..options };
        let max = MaxSearch {
            iterations: self.options.max_iterations,
            samples: self.options.max_samples,
        };
        let prices = self.options.prices.as_ref();
        let mut config = options.apply(self.tpo.config(), max, prices)?;
        config.sampling = ask.sampling(&config.sampling);
        config.seed = ask.sampling.seed.unwrap_or(config.seed);
        config
            .validate()
            .map_err(|error| ApiError::invalid("", textgrad_core::describe(&error)))?;
        if ask.n as u64 > config.answers() {
            let message = format!(
                "n: expected at most {}, the number of answers that this search draws, got {}",
                config.answers(),
                ask.n
            );
            return Err(ApiError::invalid("n", message));
        }
        let query = ask.query()?;
        // A request that names its seed is repeatable; others differ.
        let index = match ask.sampling.seed {
            Some(_) => 0,
            None => self.searches.fetch_add(1, Ordering::Relaxed),
        };
        Ok(Asked::Search(Box::new(Job {
            id: self.id(prefix),
            client,
            model: ask.model.clone(),
            arrived,
            created: now(),
            ask,
            query,
            options,
            config,
            index,
            key: idempotency_key(headers)?,
        })))
    }

    /// Waits for a place in flight.
    pub(crate) async fn enter(&self, client: Client) -> Result<Permit, ApiError> {
        let entered = self.admission.enter(client).await;
        if entered.is_err() {
            self.metrics.refused(self.options.keys.name(client));
        }
        entered
    }
}

/// The key by which a client repeats a request.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    const NAME: &str = "idempotency-key";
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid(NAME, "idempotency-key: expected 1 to 255 ASCII characters")),
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

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

/// Counts a request, and lets it through if its client may send it.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let endpoint = endpoint(request.uri().path());
    let origin = app.options.cors.as_deref().and_then(|origin| HeaderValue::from_str(origin).ok());
    let is_preflight = request.method() == Method::OPTIONS && origin.is_some();
    let mut response = match admit(&app, request) {
        _ if is_preflight => StatusCode::NO_CONTENT.into_response(),
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = origin {
        let allowed = "authorization, content-type, idempotency-key, x-tpo";
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    }
    app.metrics.request(endpoint, response.status().as_u16());
    response
}

fn admit(app: &App, mut request: Request) -> Result<Request, ApiError> {
    if app.options.local_only && !is_local(request.headers()) {
        return Err(ApiError::invalid(
            "host",
            "expected a request to this machine, as to localhost; a server without keys takes no other",
        ));
    }
    if !OPEN.contains(&request.uri().path()) {
        let client =
            app.options.keys.client(request.headers()).ok_or_else(ApiError::unauthorized)?;
        request.extensions_mut().insert(client);
    }
    if request.method() == Method::POST {
        if app.draining.load(Ordering::Relaxed) {
            return Err(ApiError::draining());
        }
        // Web pages send other types to other hosts without asking.
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json")) {
            return Err(ApiError::invalid(
                "content-type",
                "expected the content type application/json",
            ));
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
}
