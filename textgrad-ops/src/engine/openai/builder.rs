//! How the engine is made.

use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::EngineError;

use super::body::{MaxTokensField, SeedField, Shape};
use super::client::OpenAi;
use crate::engine::http::{JsonClient, JsonClientBuilder};
use crate::engine::wire::named;

/// Settings of an [`OpenAi`] engine; see [`OpenAi::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct OpenAiBuilder {
    client: JsonClientBuilder,
    name: Option<String>,
    shape: Shape,
}

impl OpenAiBuilder {
    pub(super) fn new(base_url: String, model: String) -> Self {
        Self { client: JsonClient::builder(base_url), name: None, shape: Shape::new(model) }
    }

    /// The key, sent as `Authorization: Bearer <key>`. Local servers mostly need none.
    pub fn key(mut self, key: impl Into<SecretString>) -> Self {
        self.client = self.client.key(key);
        self
    }

    /// The key, sent in a header of its own (`api-key` on Azure) instead of `Authorization`.
    pub fn key_in(mut self, header: impl Into<String>, key: impl Into<SecretString>) -> Self {
        self.client = self.client.key_in(header, key);
        self
    }

    /// The organisation that is billed, sent as `OpenAI-Organization`.
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.client = self.client.organization(organization);
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

    /// The engine's name, `openai:<model>` by default. Traces take what is before the colon for the provider.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name under which [`Sampling::max_tokens`](textgrad_core::Sampling::max_tokens) is sent;
    /// `max_tokens` by default.
    pub fn max_tokens_field(mut self, field: MaxTokensField) -> Self {
        self.shape.max_tokens_field = field;
        self
    }

    /// The name under which [`Sampling::seed`](textgrad_core::Sampling::seed) is sent; `seed` by default.
    pub fn seed_field(mut self, field: SeedField) -> Self {
        self.shape.seed_field = field;
        self
    }

    /// Asks for one answer whatever [`Sampling::n`](textgrad_core::Sampling::n) says, for servers that refuse
    /// `n`. [`EngineExt::complete_choices`](crate::layer::EngineExt::complete_choices) asks for the others.
    pub fn single_answers(mut self) -> Self {
        self.shape.sends_n = false;
        self
    }

    /// Refuses a [`Request::format`](textgrad_core::Request::format), for servers that do not know
    /// `response_format` with a JSON schema: some of them would ignore it.
    pub fn no_json_schema(mut self) -> Self {
        self.shape.json_schema = false;
        self
    }

    /// Does not ask for the usage of a stream, for servers that refuse `stream_options`.
    pub fn no_stream_options(mut self) -> Self {
        self.shape.stream_usage = false;
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
    /// [`ErrorKind::InvalidRequest`](textgrad_core::ErrorKind::InvalidRequest) if the model has no name, and whatever
    /// [`JsonClientBuilder::build`] says of the URL, the key and the headers.
    pub fn build(self) -> Result<OpenAi, EngineError> {
        let model = named(&self.shape.model)?;
        let name = self.name.unwrap_or_else(|| format!("openai:{model}"));
        Ok(OpenAi::new(name, self.client.build()?, Shape { model, ..self.shape }))
    }
}
