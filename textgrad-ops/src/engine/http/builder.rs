//! HTTP settings, TLS settings, and the builder of the JSON client.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use derive_setters::Setters;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret, SecretString};
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::BaseUrl;
use super::client::{ClientInner, JsonClient};
use super::redact::Redactor;
use crate::engine::anthropic::AnthropicBuilder;
use crate::engine::gemini::GeminiBuilder;
use crate::engine::invalid;
use crate::engine::openai::OpenAiBuilder;
use crate::engine::preset::EngineBuilder;

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
#[derive(Debug, Clone, Setters)]
#[must_use = "settings do nothing until a client is built with them"]
pub struct HttpOptions {
    #[setters(skip)]
    headers: Vec<(String, SecretString)>,
    /// The time limit of a connection attempt. Default: 5 s, as in the OpenAI clients.
    connect_timeout: Duration,
    /// The time limit of a whole reply, its connection included. Default: 600 s, as in the OpenAI clients.
    request_timeout: Duration,
    /// Connects straight to the server, without the proxies of the environment and the system.
    #[setters(bool)]
    no_proxy: bool,
    /// Whether requests to this machine go through the proxies of the environment too. Default: false.
    proxy_loopback: bool,
    /// The largest reply that is read, in bytes. Default: 64 MiB.
    max_body: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(600),
            no_proxy: false,
            proxy_loopback: false,
            max_body: 64 * 1024 * 1024,
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
}

/// Settings of a [`JsonClient`]; see [`JsonClient::builder`].
#[derive(Debug, Clone, Setters)]
#[setters(
    into,
    strip_option,
    generate_delegates(ty = "OpenAiBuilder", field = "client"),
    generate_delegates(ty = "AnthropicBuilder", field = "client"),
    generate_delegates(ty = "GeminiBuilder", field = "client"),
    generate_delegates(ty = "EngineBuilder", field = "client")
)]
#[must_use = "a builder makes nothing until it is built"]
pub struct JsonClientBuilder {
    #[setters(skip)]
    pub(crate) base_url: SecretString,
    /// The key. White space around it is dropped.
    pub(crate) key: Option<SecretString>,
    /// The header that holds the key. Default: `Authorization: Bearer <key>`, and for Anthropic, Gemini and Azure the
    /// header of their APIs.
    pub(crate) key_header: Option<String>,
    /// The path of a base URL without one.
    #[setters(skip)]
    pub(crate) default_path: &'static str,
    /// HTTP settings: headers, timeouts, proxies, and the bound on the size of a reply.
    pub(crate) http: HttpOptions,
}

impl JsonClientBuilder {
    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the base URL is not an `http` or `https` URL, a header cannot be
    /// sent, two settings would both set `Authorization`, or the system's certificates or proxies cannot
    /// be read; [`ErrorKind::Auth`] if the key is empty or cannot be sent.
    pub fn build(self) -> Result<JsonClient, EngineError> {
        let base = BaseUrl::parse(self.base_url.expose_secret(), self.default_path)?;
        let mut headers = HeaderMap::new();
        let mut secrets: Vec<SecretString> = base.secrets().into_iter().map(Into::into).collect();
        if let Some(key) = &self.key {
            let key = key.expose_secret().trim();
            let (name, value) = key_header(self.key_header.as_deref(), key)?;
            headers.insert(name, value);
            secrets.push(key.into());
        }
        for (name, value) in self.http.headers {
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
        let is_direct = self.http.no_proxy || (base.is_loopback() && !self.http.proxy_loopback);
        let proxy = proxy_variable(base.is_https()).filter(|_| !is_direct);
        let tls = match base.is_https() || proxy.is_some() {
            true => tls_config(),
            false => plain_config(),
        };
        let tls = tls.map_err(|error| {
            invalid("the system's root certificates could not be read").with_source(error)
        })?;
        let mut http = reqwest::Client::builder().tls_backend_preconfigured(tls);
        if is_direct {
            http = http.no_proxy();
        }
        let http = http
            .user_agent(concat!("textgrad/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.http.connect_timeout)
            .timeout(self.http.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| {
                invalid("the HTTP client could not be set up").with_source(error.without_url())
            })?;
        Ok(JsonClient(Arc::new(ClientInner {
            http,
            base,
            headers,
            redactor: Arc::new(Redactor::new(secrets)),
            max_body: self.http.max_body,
            timeout: self.http.request_timeout,
            proxy,
        })))
    }
}

/// The environment variable that names a proxy for a scheme, if one is set.
fn proxy_variable(is_https: bool) -> Option<&'static str> {
    let variables = match is_https {
        true => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    variables.into_iter().find(is_set)
}

fn key_header(name: Option<&str>, key: &str) -> Result<(HeaderName, HeaderValue), EngineError> {
    let wrong = |what| {
        EngineError::new(
            ErrorKind::Auth,
            format!("expected a key, got {what}; check where it comes from"),
        )
    };
    if key.is_empty() {
        return Err(wrong("an empty one"));
    }
    let (name, value) = match name {
        Some(name) => (header_name(name)?, HeaderValue::from_str(key)),
        None => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
    };
    let mut value = value.map_err(|_| wrong("one with characters that no header may hold"))?;
    value.set_sensitive(true);
    Ok((name, value))
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

/// The provider that the process installed; default: ring.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().map_or_else(|| Arc::new(ring::default_provider()), Arc::clone)
}

/// No certificate is trusted: for an address without TLS. To read the system's takes longer than a request.
fn plain_config() -> Result<ClientConfig, rustls::Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}

/// TLS 1.2 and 1.3 with the system's root certificates, which are read once per process.
fn tls_config() -> Result<ClientConfig, rustls::Error> {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(CONFIG.get_or_init(|| config).clone())
}
