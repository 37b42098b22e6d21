//! How the engine is made.

use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::EngineError;

use super::body::Shape;
use super::client::Anthropic;
use crate::engine::http::{JsonClient, JsonClientBuilder};
use crate::engine::wire::named;

/// The version of the API that is spoken.
const VERSION: &str = "2023-06-01";
/// The longest answer where the sampling does not say, in tokens: enough for an essay, and within what every
/// model since Claude 3 can write.
const MAX_TOKENS: u32 = 4096;

/// Settings of an [`Anthropic`] engine; see [`Anthropic::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct AnthropicBuilder {
    client: JsonClientBuilder,
    name: Option<String>,
    shape: Shape,
}

impl AnthropicBuilder {
    pub(super) fn new(base_url: String, model: String) -> Self {
        Self {
            client: JsonClient::builder(base_url).header("anthropic-version", VERSION),
            name: None,
            shape: Shape { model, default_max_tokens: MAX_TOKENS, stream: false },
        }
    }

    /// The key, sent as `x-api-key`.
    pub fn key(mut self, key: impl Into<SecretString>) -> Self {
        self.client = self.client.key_in("x-api-key", key);
        self
    }

    /// One more header with each request, such as `anthropic-beta`. Its value is treated as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.client = self.client.header(name, value);
        self
    }

    /// How long to wait for a connection; 5 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.connect_timeout(timeout);
        self
    }

    /// How long to wait for a whole answer; 600 s by default.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.request_timeout(timeout);
        self
    }

    /// Connects straight to the server, whatever proxies the environment and the system name.
    pub fn no_proxy(mut self) -> Self {
        self.client = self.client.no_proxy();
        self
    }

    /// The engine's name, `anthropic:<model>` by default. Traces take what is before the colon for the
    /// provider.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The longest answer, in tokens, where [`Sampling::max_tokens`](textgrad_core::Sampling::max_tokens) is
    /// not set; 4,096 by default. The API insists on a bound.
    pub fn default_max_tokens(mut self, tokens: u32) -> Self {
        self.shape.default_max_tokens = tokens;
        self
    }

    /// Whether answers are streamed; not by default. The response is the same: streaming only keeps long
    /// answers from running into the idle timeouts of proxies.
    pub fn stream(mut self, stream: bool) -> Self {
        self.shape.stream = stream;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](textgrad_core::ErrorKind::InvalidRequest) if the model has no name, and
    /// whatever [`JsonClientBuilder::build`] says of the URL, the key and the headers.
    pub fn build(self) -> Result<Anthropic, EngineError> {
        let model = named(&self.shape.model)?;
        let name = self.name.unwrap_or_else(|| format!("anthropic:{model}"));
        Ok(Anthropic::new(name, self.client.build()?, Shape { model, ..self.shape }))
    }
}
