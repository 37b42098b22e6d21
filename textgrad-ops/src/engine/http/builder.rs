//! How a client is made.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::BaseUrl;
use super::client::JsonClient;
use super::redact::Redactor;

/// How long the OpenAI clients wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the OpenAI clients wait for a whole answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A key and where it is sent: in a header of this name, else as a bearer token.
#[derive(Debug, Clone)]
struct Key {
    header: Option<String>,
    secret: SecretString,
}

/// Settings of a [`JsonClient`]; see [`JsonClient::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct JsonClientBuilder {
    base_url: SecretString,
    key: Option<Key>,
    headers: Vec<(String, SecretString)>,
    connect_timeout: Duration,
    request_timeout: Duration,
    max_body: usize,
    proxies: bool,
}

impl JsonClientBuilder {
    pub(super) fn new(base_url: String) -> Self {
        Self {
            base_url: base_url.into(),
            key: None,
            headers: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            max_body: MAX_BODY,
            proxies: true,
        }
    }

    /// The key, sent as `Authorization: Bearer <key>`. White space around it is dropped.
    pub fn key(mut self, key: impl Into<SecretString>) -> Self {
        self.key = Some(Key { header: None, secret: key.into() });
        self
    }

    /// The key, sent in a header of its own, such as `x-api-key`, instead of `Authorization`. White space
    /// around it is dropped.
    pub fn key_in(mut self, header: impl Into<String>, key: impl Into<SecretString>) -> Self {
        self.key = Some(Key { header: Some(header.into()), secret: key.into() });
        self
    }

    /// One more header with each request. Its value is treated as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The organisation that is billed, sent as `OpenAI-Organization`.
    pub fn organization(self, organization: impl Into<String>) -> Self {
        self.header("openai-organization", organization.into())
    }

    /// How long to wait for a connection; 5 s by default, as the OpenAI clients do.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long to wait for a whole reply, its connection included; 600 s by default, as the OpenAI
    /// clients do.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Connects straight to the server, whatever proxies the environment and the system name.
    pub fn no_proxy(mut self) -> Self {
        self.proxies = false;
        self
    }

    /// The largest reply that is read, in bytes; 64 MiB by default.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the base URL is not an `http` or `https` URL, a header cannot be
    /// sent, two settings would both set `Authorization`, or the system's certificates or proxies cannot
    /// be read; [`ErrorKind::Auth`] if the key is empty or cannot be sent.
    pub fn build(self) -> Result<JsonClient, EngineError> {
        let base = BaseUrl::parse(self.base_url.expose_secret())?;
        let mut headers = HeaderMap::new();
        let mut secrets: Vec<SecretString> = base.secrets().into_iter().map(Into::into).collect();
        if let Some(key) = &self.key {
            let (name, value) = key.header()?;
            headers.insert(name, value);
            secrets.push(key.secret.expose_secret().trim().into());
        }
        for (name, value) in self.headers {
            secrets.push(value.clone());
            let (name, value) = header(&name, &value)?;
            if headers.contains_key(&name) {
                return Err(invalid(format!(
                    "expected header {name} once, got it twice (a key sets one too)"
                )));
            }
            headers.insert(name, value);
        }
        if headers.contains_key(AUTHORIZATION) && base.has_credentials() {
            return Err(invalid(
                "expected a key or a user in the base URL, got both; leave one out",
            ));
        }
        let tls = super::tls::config().map_err(|error| {
            invalid("the system's root certificates could not be read").with_source(error)
        })?;
        let mut http = reqwest::Client::builder().tls_backend_preconfigured(tls);
        if !self.proxies {
            http = http.no_proxy();
        }
        let http = http
            .user_agent(concat!("textgrad/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .timeout(self.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| {
                invalid("the HTTP client could not be set up").with_source(error.without_url())
            })?;
        Ok(JsonClient::new(
            http,
            base,
            headers,
            Arc::new(Redactor::new(secrets)),
            self.max_body,
            self.request_timeout,
        ))
    }
}

fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

impl Key {
    fn header(&self) -> Result<(HeaderName, HeaderValue), EngineError> {
        let key = self.secret.expose_secret().trim();
        let wrong = |what| {
            EngineError::new(
                ErrorKind::Auth,
                format!("expected a key, got {what}; check where it comes from"),
            )
        };
        if key.is_empty() {
            return Err(wrong("an empty one"));
        }
        let (name, value) = match &self.header {
            Some(name) => (header_name(name)?, HeaderValue::from_str(key)),
            None => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
        };
        let mut value = value.map_err(|_| wrong("one with characters that no header may hold"))?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

fn header_name(name: &str) -> Result<HeaderName, EngineError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|error| {
        invalid(format!("expected the name of a header, got {name:?}")).with_source(error)
    })
}

fn header(name: &str, value: &SecretString) -> Result<(HeaderName, HeaderValue), EngineError> {
    let parsed = header_name(name)?;
    let mut sent = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
        invalid(format!("the value of header {name} holds characters that no header may hold"))
    })?;
    sent.set_sensitive(true);
    Ok((parsed, sent))
}
