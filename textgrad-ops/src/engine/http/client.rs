//! The JSON client, and base URLs without their secrets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::{BaseUrl, Route};
use super::body::Body;
use super::builder::{HttpOptions, JsonClientBuilder};
use super::failure::{Report, failed};
use super::redact::Redactor;
use crate::engine::invalid;

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
/// assert_eq!(format!("{client:?}"), r#"JsonClient { base_url: "http://localhost:8000/v1", .. }"#);
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Clone)]
pub struct JsonClient(pub(super) Arc<ClientInner>);

#[derive(Clone)]
pub(super) struct ClientInner {
    pub(super) http: reqwest::Client,
    pub(super) base: BaseUrl,
    pub(super) headers: HeaderMap,
    pub(super) redactor: Arc<Redactor>,
    pub(super) max_body: usize,
    pub(super) timeout: Duration,
    /// The environment variable of the proxy that stands before the server, if there is one.
    pub(super) proxy: Option<&'static str>,
}

impl JsonClient {
    /// Settings for a client of a server, such as `http://localhost:8000/v1`.
    ///
    /// A user and password in the URL are sent as basic authentication, a query goes with every request;
    /// neither is ever shown.
    pub fn builder(base_url: impl Into<String>) -> JsonClientBuilder {
        JsonClientBuilder {
            base_url: base_url.into().into(),
            key: None,
            key_header: None,
            http: HttpOptions::default(),
            default_path: "",
        }
    }

    /// The base URL without user, password and query.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.0.base.shown()
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.0.base.is_loopback()
    }

    /// The route of a path below the base URL, which may have a query.
    pub(crate) fn route(&self, path: &str) -> Route {
        Route(self.0.base.join(path))
    }

    /// The same client at the base URL without `/v1`, where servers have routes of their own.
    #[must_use]
    pub fn root(&self) -> Self {
        let base = self.0.base.root();
        Self(Arc::new(ClientInner { base, ..(*self.0).clone() }))
    }

    /// Posts `body` to a path below the base URL and reads the reply.
    ///
    /// # Errors
    /// An [`EngineError`] that names the host and the path: [`ErrorKind::Connection`] and
    /// [`ErrorKind::Timeout`] where no whole reply arrived; the class of its status for a reply that is not a
    /// success and of its words (401 and 403 [`Auth`](ErrorKind::Auth); 402, and any want of credit or limit of a
    /// day or month, [`Quota`](ErrorKind::Quota); content that was declined [`Refused`](ErrorKind::Refused); 429
    /// [`RateLimited`](ErrorKind::RateLimited); a model that is not loaded yet [`Loading`](ErrorKind::Loading); 404
    /// [`NotFound`](ErrorKind::NotFound); 408 [`Timeout`](ErrorKind::Timeout); 409, 421, 423 to 425 and 5xx
    /// [`Server`](ErrorKind::Server); other 3xx and 4xx [`InvalidRequest`](ErrorKind::InvalidRequest));
    /// [`ErrorKind::BadResponse`] for a reply that is not the JSON of `R` or is too large. The server's
    /// `x-should-retry` and `retry-after` are kept.
    pub async fn post<B, R>(&self, path: &str, body: &B) -> Result<R, EngineError>
    where
        B: Serialize + Sync + ?Sized,
        R: DeserializeOwned,
    {
        decode(self.post_body(path, body, "application/json").await?).await
    }

    /// Gets a path below the base URL and reads the reply.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, EngineError> {
        decode(self.send(Method::GET, self.route(path), None, "application/json").await?).await
    }

    /// Posts `body` and returns the reply piece by piece, as it is: for proxies.
    ///
    /// # Errors
    /// As [`post`](Self::post), for a reply that is not a success or does not begin.
    pub async fn forward<B>(&self, path: &str, body: &B) -> Result<ForwardedReply, EngineError>
    where
        B: Serialize + Sync + ?Sized,
    {
        let body = self.post_body(path, body, "application/json, text/event-stream").await?;
        Ok(ForwardedReply(body))
    }

    /// A reply without the secrets of this client, for callers that quote what they could not read.
    #[must_use]
    pub fn redact(&self, mut reply: Value) -> Value {
        self.0.redactor.clean_json(&mut reply);
        reply
    }

    /// Posts `body` and returns the reply, to be read whole or as events.
    pub(crate) async fn post_body<B: Serialize + ?Sized>(
        &self,
        path: &str,
        body: &B,
        accept: &'static str,
    ) -> Result<Body, EngineError> {
        self.post_bytes(self.route(path), to_json(body, 1024)?.into(), accept).await
    }

    /// Posts a body that is JSON.
    pub(crate) async fn post_bytes(
        &self,
        route: Route,
        body: Bytes,
        accept: &'static str,
    ) -> Result<Body, EngineError> {
        self.send(Method::POST, route, Some(body), accept).await
    }

    async fn send(
        &self,
        method: Method,
        Route(url): Route,
        body: Option<Bytes>,
        accept: &'static str,
    ) -> Result<Body, EngineError> {
        let inner = &*self.0;
        let report = Report::new(&method, &url, Arc::clone(&inner.redactor));
        let mut request =
            inner.http.request(method, url).headers(inner.headers.clone()).header(ACCEPT, accept);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.through_proxy(report.transport(error, inner.timeout)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Body::new(response, report, inner.max_body, inner.timeout));
        }
        let headers = response.headers().clone();
        let limit = inner.max_body.min(MAX_ERROR_BODY);
        let body = beginning(response, limit).await;
        let error = failed(&report, status, &headers, &body);
        // 407 and the errors of gateways.
        let is_of_proxy = matches!(status.as_u16(), 403 | 407 | 502..=504);
        Err(if is_of_proxy { self.through_proxy(error) } else { error })
    }

    /// The error with the proxy that may have caused it.
    fn through_proxy(&self, error: EngineError) -> EngineError {
        let Some(variable) = self.0.proxy else { return error };
        let message = format!("{}; requests go through the proxy of {variable}", error.message());
        error.with_message(message)
    }
}

/// A reply that is read piece by piece; see [`JsonClient::forward`].
pub struct ForwardedReply(Body);

impl ForwardedReply {
    /// The content type, as the server sent it.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.0.content_type()
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Connection`] and [`ErrorKind::Timeout`] where the reply breaks off, [`ErrorKind::BadResponse`]
    /// where it is too large.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.0.next().await?.map(Vec::from))
    }
}

textgrad_core::debug_by!(ForwardedReply {});

textgrad_core::debug_by!(JsonClient, base_url);

/// A body as JSON, of about so many bytes.
pub(crate) fn to_json<B: Serialize + ?Sized>(
    body: &B,
    length: usize,
) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::with_capacity(length);
    serde_json::to_writer(&mut bytes, body).map_err(|error| {
        invalid("the body of the request cannot be written as JSON").with_source(error)
    })?;
    Ok(bytes)
}

/// The beginning of the body of an error: enough to read it.
async fn beginning(mut response: reqwest::Response, limit: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if body.len() >= limit {
            break;
        }
    }
    body
}

async fn decode<R: DeserializeOwned>(mut body: Body) -> Result<R, EngineError> {
    let value = body.json().await?;
    R::deserialize(&value).map_err(|error| {
        let quote = body.report().quote(value.to_string().as_bytes());
        let what = format!("the reply has another shape than expected: `{quote}`");
        body.report().error(ErrorKind::BadResponse, what).with_source(error)
    })
}
