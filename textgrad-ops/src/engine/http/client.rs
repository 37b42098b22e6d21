//! The JSON client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::BaseUrl;
use super::body::Body;
use super::builder::JsonClientBuilder;
use super::failure::{failed, succeeded};
use super::report::{Redactor, Report};
use super::sse::Events;

/// The most of a failed reply that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Sends JSON to one server and reads JSON back. Cheap to clone; clones share their connections.
///
/// Proxies are taken from the environment and the system, certificates from the system. Redirects are not
/// followed, so that a key never travels to another host. A call is made once;
/// [`RetryPolicy::run`](crate::layer::RetryPolicy::run) makes it again.
///
/// # Examples
/// ```
/// use textgrad_ops::engine::http::JsonClient;
///
/// let client = JsonClient::builder("http://user:pass@localhost:8000/v1/").build()?;
/// assert_eq!(format!("{client:?}"), r#"JsonClient { base_url: "http://localhost:8000/v1/", .. }"#);
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Clone)]
pub struct JsonClient {
    inner: Arc<ClientInner>,
}

struct ClientInner {
    http: reqwest::Client,
    base: BaseUrl,
    headers: HeaderMap,
    redactor: Arc<Redactor>,
    max_body: usize,
    timeout: Duration,
}

/// A reply that may come in pieces.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The whole reply: the server does not stream.
    Whole(Value, Report),
    /// Events as they arrive.
    Events(Box<Events>),
}

impl JsonClient {
    /// Settings for a client of a server, such as `http://localhost:8000/v1`.
    ///
    /// A user and password in the URL are sent as basic authentication, a query goes with every request;
    /// neither is ever shown.
    pub fn builder(base_url: impl Into<String>) -> JsonClientBuilder {
        JsonClientBuilder::new(base_url.into())
    }

    pub(super) fn new(
        http: reqwest::Client,
        base: BaseUrl,
        headers: HeaderMap,
        redactor: Arc<Redactor>,
        max_body: usize,
        timeout: Duration,
    ) -> Self {
        Self { inner: Arc::new(ClientInner { http, base, headers, redactor, max_body, timeout }) }
    }

    /// The base URL without user, password and query.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.inner.base.shown()
    }

    /// The identity of an engine on this client: protocol, address without credentials and query, and model. A
    /// slash at the end of the address makes no difference.
    pub(crate) fn identity(&self, protocol: &str, model: &str) -> String {
        format!("{protocol}+{}#{model}", self.base_url().trim_end_matches('/'))
    }

    /// Posts `body` to a path below the base URL and reads the reply.
    ///
    /// # Errors
    /// An [`EngineError`] that names the host and the path: [`ErrorKind::Connection`] and
    /// [`ErrorKind::Timeout`] where no whole reply arrived; the class of its status for a reply that is not a
    /// success (401 and 403 [`Auth`](ErrorKind::Auth); 402, and 429 for want of credit,
    /// [`Quota`](ErrorKind::Quota); 429 [`RateLimited`](ErrorKind::RateLimited); 404
    /// [`NotFound`](ErrorKind::NotFound); 408 [`Timeout`](ErrorKind::Timeout); 409 and 5xx
    /// [`Server`](ErrorKind::Server); other 3xx and 4xx [`InvalidRequest`](ErrorKind::InvalidRequest));
    /// [`ErrorKind::BadResponse`] for a reply that is not the JSON of `R` or is too large. The server's
    /// `x-should-retry` and `retry-after` are kept.
    pub async fn post<B, R>(&self, path: &str, body: &B) -> Result<R, EngineError>
    where
        B: Serialize + Sync + ?Sized,
        R: DeserializeOwned,
    {
        let (body, report) =
            self.send(Method::POST, path, Some(encode(body)?), "application/json").await?;
        decode(succeeded(&report, &body.whole(&report).await?)?, &report)
    }

    /// Gets a path below the base URL and reads the reply.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, EngineError> {
        let (body, report) = self.send(Method::GET, path, None, "application/json").await?;
        decode(succeeded(&report, &body.whole(&report).await?)?, &report)
    }

    /// Posts `body` and reads the reply whole.
    pub(crate) async fn post_whole(&self, path: &str, body: &Value) -> Result<Reply, EngineError> {
        let (body, report) =
            self.send(Method::POST, path, Some(encode(body)?), "application/json").await?;
        Ok(Reply::Whole(succeeded(&report, &body.whole(&report).await?)?, report))
    }

    /// Posts `body` and reads the reply as events, or whole where the server does not stream.
    pub(crate) async fn post_stream(&self, path: &str, body: &Value) -> Result<Reply, EngineError> {
        let (body, report) =
            self.send(Method::POST, path, Some(encode(body)?), "text/event-stream").await?;
        if body.is_json() {
            return Ok(Reply::Whole(succeeded(&report, &body.whole(&report).await?)?, report));
        }
        Ok(Reply::Events(Box::new(Events::new(body, report))))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        accept: &'static str,
    ) -> Result<(Body, Report), EngineError> {
        let inner = &*self.inner;
        let url = inner.base.join(path);
        let report = Report::new(&method, &url, Arc::clone(&inner.redactor));
        let mut request =
            inner.http.request(method, url).headers(inner.headers.clone()).header(ACCEPT, accept);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response =
            request.send().await.map_err(|error| report.transport(error, inner.timeout))?;
        let status = response.status();
        if status.is_success() {
            return Ok((Body::new(response, inner.max_body, inner.timeout), report));
        }
        let headers = response.headers().clone();
        let limit = inner.max_body.min(MAX_ERROR_BODY);
        let body = Body::new(response, limit, inner.timeout).beginning().await;
        Err(failed(&report, status, &headers, &body))
    }
}

impl fmt::Debug for JsonClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonClient").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

fn encode<B: Serialize + ?Sized>(body: &B) -> Result<Vec<u8>, EngineError> {
    serde_json::to_vec(body).map_err(|error| {
        EngineError::new(
            ErrorKind::InvalidRequest,
            "the body of the request cannot be written as JSON",
        )
        .with_source(error)
    })
}

fn decode<R: DeserializeOwned>(value: Value, report: &Report) -> Result<R, EngineError> {
    R::deserialize(&value).map_err(|error| {
        let quote = report.quote(value.to_string().as_bytes());
        report
            .error(
                ErrorKind::BadResponse,
                format!("the reply has another shape than expected: `{quote}`"),
            )
            .with_source(error)
    })
}
