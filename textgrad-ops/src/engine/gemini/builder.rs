//! How the engine is made.

use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::{EngineError, ErrorKind, truncate};

use super::client::Gemini;
use crate::engine::http::{JsonClient, JsonClientBuilder};
use crate::engine::wire::named;

/// Settings of a [`Gemini`] engine; see [`Gemini::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct GeminiBuilder {
    client: JsonClientBuilder,
    name: Option<String>,
    model: String,
    stream: bool,
}

impl GeminiBuilder {
    pub(super) fn new(base_url: String, model: String) -> Self {
        Self { client: JsonClient::builder(base_url), name: None, model, stream: false }
    }

    /// The key, sent as `x-goog-api-key`.
    pub fn key(mut self, key: impl Into<SecretString>) -> Self {
        self.client = self.client.key_in("x-goog-api-key", key);
        self
    }

    /// One more header with each request. Its value is treated as a secret.
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

    /// The engine's name, `gemini:<model>` by default. Traces take what is before the colon for the provider.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether answers are streamed; not by default. The response is the same: streaming only keeps long
    /// answers from running into the idle timeouts of proxies.
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the model has no name or one that cannot be part of a path, and
    /// whatever [`JsonClientBuilder::build`] says of the URL, the key and the headers.
    pub fn build(self) -> Result<Gemini, EngineError> {
        let model = named(&self.model)?;
        let resource = resource(&model)?;
        let name = self.name.unwrap_or_else(|| format!("gemini:{model}"));
        Ok(Gemini::new(name, self.client.build()?, resource, self.stream))
    }
}

/// The path of a model: `models/<name>` unless it says what it is.
fn resource(model: &str) -> Result<String, EngineError> {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            && part.bytes().any(|b| b != b'.')
    };
    // The name becomes part of a path, and must not lead out of it.
    if !model.split('/').all(plain) {
        return Err(EngineError::new(
            ErrorKind::InvalidRequest,
            format!(
                "expected the name of a model such as gemini-2.5-flash, got {:?}",
                truncate(model, 80)
            ),
        ));
    }
    Ok(if model.contains('/') { model.to_owned() } else { format!("models/{model}") })
}
