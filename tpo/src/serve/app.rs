//! The state of a server, and what a request asks for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use textgrad_core::truncate;
use textgrad_ops::CancellationToken;
use tokio::time::{Instant, timeout};

use super::admission::{Admission, AdmissionBounds, Permit};
use super::builder::ServerBuilder;
use super::error::ApiError;
use super::json::{path_of, syntax};
use super::keys::Client;
use super::log::FailureLog;
use super::metrics::{Load, Metrics};
use super::model::{Target, target};
use super::options::SearchOptions;
use super::recent::Recent;
use super::request::Ask;
use super::search::Job;
use crate::journal::digest;
use crate::search::Tpo;

/// The header with search options, as JSON.
const OPTIONS_HEADER: &str = "x-tpo";
/// The header by which a request can be repeated.
const KEY_HEADER: &str = "idempotency-key";

/// What the requests of a server share.
pub(crate) struct App {
    pub(crate) tpo: Tpo,
    pub(crate) options: ServerBuilder,
    pub(crate) admission: Admission,
    pub(crate) metrics: Metrics,
    pub(crate) recent: Recent,
    pub(crate) simulated: bool,
    pub(crate) draining: AtomicBool,
    /// Cancelled when the time to drain is over: searches end with the best answer that they have.
    pub(crate) ending: CancellationToken,
    pub(crate) failures: FailureLog,
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
    /// The policy alone serves it, until its deadline.
    Policy(Box<Ask>, Option<Instant>),
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
            ending: CancellationToken::new(),
            failures: FailureLog::default(),
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
        id: &str,
    ) -> Result<Asked, ApiError> {
        let Some(target) = target(&ask.model, &self.options.presets) else {
            let name = truncate(&ask.model, 80);
            let message =
                format!("the model {name:?} does not exist; GET /v1/models lists those that do");
            return Err(ApiError::model_not_found(message));
        };
        let of_header = match headers.get(OPTIONS_HEADER) {
            None => SearchOptions::default(),
            Some(value) => {
                let json = serde_json::from_slice(value.as_bytes()).map_err(|error| {
                    let message = format!("the header {OPTIONS_HEADER}: {}", syntax(&error));
                    ApiError::invalid(OPTIONS_HEADER, message)
                })?;
                SearchOptions::read(&json, OPTIONS_HEADER)?
            }
        };
        let own = ask.options.clone().or(&of_header);
        let mut options = match &target {
            Target::Policy => own,
            Target::Search(of_model) => own.or(of_model),
        };
        options.deadline_ms = options.deadline_ms.or(self
            .options
            .deadline
            .map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)));
        let deadline = options.deadline(arrived);
        let key = idempotency_key(headers)?;
        let is_passed = target == Target::Policy || !ask.direct.is_empty();
        if key.is_some() && (is_passed || self.options.recorder.is_none()) {
            let message = match is_passed {
                true => {
                    "expected no idempotency key: a request that the policy serves without a search is not recorded"
                }
                false => {
                    "expected no idempotency key: this server records no searches (it has no --out)"
                }
            };
            return Err(ApiError::invalid(KEY_HEADER, message));
        }
        if target == Target::Policy {
            return Ok(Asked::Policy(Box::new(ask), deadline));
        }
        if let Some(first) = ask.direct.first() {
            if self.options.unsearchable == super::builder::Unsearchable::Pass {
                return Ok(Asked::Policy(Box::new(ask), deadline));
            }
            let message = format!(
                "{first} cannot be served with a search; send the request to the model {:?}, which has none",
                super::model::POLICY
            );
            return Err(ApiError::invalid(path_of(first), message));
        }
        let max = self.options.max_search();
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
            id: id.to_owned(),
            client,
            model: ask.model.clone(),
            arrived,
            deadline,
            created: now(),
            ask,
            query,
            options,
            config,
            index,
            key,
        })))
    }

    /// Waits for a place in flight, at most until a deadline.
    pub(crate) async fn enter(
        &self,
        client: Client,
        deadline: Option<Instant>,
    ) -> Result<Permit, ApiError> {
        let entered = tokio::select! {
            entered = self.admission.enter(client, deadline) => entered,
            () = self.ending.cancelled() => return Err(ApiError::draining()),
        };
        if entered.is_err() {
            self.metrics.refused(self.options.keys.name(client));
        }
        entered
    }
}

/// The key by which a client repeats a request.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => {
            let message = "idempotency-key: expected 1 to 255 ASCII characters";
            Err(ApiError::invalid(KEY_HEADER, message))
        }
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
