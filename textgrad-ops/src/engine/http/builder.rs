//! HTTP settings, and the builder of the JSON client.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::BaseUrl;
use super::client::JsonClient;
use super::report::Redactor;

/// HTTP settings that all clients share.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use textgrad_ops::engine::{HttpOptions, OpenAi};
///
/// let http = HttpOptions::default().request_timeout(Duration::from_secs(60)).no_proxy();
/// let engine = OpenAi::builder("http://localhost:8000/v1", "llama-3.1-8b").http(http).build()?;
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until a client is built with them"]
pub struct HttpOptions {
    headers: Vec<(String, SecretString)>,
    connect_timeout: Duration,
    request_timeout: Duration,
    max_body: usize,
    proxies: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(600),
            max_body: 64 * 1024 * 1024,
            proxies: true,
        }
    }
}

impl HttpOptions {
    /// Adds a header to each request. Its value is treated as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The organization that is billed, sent as `OpenAI-Organization`.
    pub fn organization(self, organization: impl Into<String>) -> Self {
        self.header("openai-organization", organization.into())
    }

    /// The time limit of a connection attempt. Default: 5 s, as in the OpenAI clients.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The time limit of a whole reply, its connection included. Default: 600 s, as in the OpenAI clients.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Connects straight to the server, without the proxies of the environment and the system.
    pub fn no_proxy(mut self) -> Self {
        self.proxies = false;
        self
    }

    /// The largest reply that is read, in bytes. Default: 64 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }
}

/// A key and the header that it is sent in; without a header it is a bearer token.
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
    options: HttpOptions,
}

impl JsonClientBuilder {
    pub(super) fn new(base_url: String) -> Self {
        Self { base_url: base_url.into(), key: None, options: HttpOptions::default() }
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

    /// HTTP settings: headers, timeouts, proxies, and the bound on the size of a reply.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.options = options;
        self
    }

    /// A header that the protocol requires.
    pub(crate) fn protocol_header(mut self, name: &str, value: &str) -> Self {
        self.options = self.options.header(name, value.to_owned());
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
        for (name, value) in self.options.headers {
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
        if !self.options.proxies {
            http = http.no_proxy();
        }
        let http = http
            .user_agent(concat!("textgrad/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.options.connect_timeout)
            .timeout(self.options.request_timeout)
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
            self.options.max_body,
            self.options.request_timeout,
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
