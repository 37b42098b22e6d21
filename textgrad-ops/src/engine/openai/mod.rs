//! OpenAI chat completions, as vLLM, SGLang, llama.cpp, Ollama and many others serve them.

mod body;
mod reply;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use secrecy::SecretString;
use textgrad_core::{Engine, EngineError, EngineInfo, Request, Response};

pub use self::body::{MaxTokensField, SeedField};
use self::body::{Shape, body};
use self::reply::Chat;
use super::http::{HttpOptions, JsonClient, JsonClientBuilder};
use super::wire::{exchange, named};

/// An engine that speaks OpenAI's chat completions.
///
/// It makes each call once and takes the answers as they come; see [`layer`](crate::layer) for
/// retries, limits and servers that give fewer answers than asked. Where a content filter has left nothing of
/// any answer, that is a final error: it would leave nothing again.
///
/// # Examples
/// ```
/// use textgrad_core::Engine;
/// use textgrad_ops::engine::OpenAi;
///
/// let engine = OpenAi::builder("http://localhost:8000/v1", "llama-3.1-8b").build()?;
/// assert_eq!(engine.name(), "openai:llama-3.1-8b");
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct OpenAi {
    info: EngineInfo,
    client: JsonClient,
    shape: Shape,
}

impl OpenAi {
    /// Settings for an engine of a server, such as `http://localhost:8000/v1`, and one of its models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder::new(base_url.into(), model.into())
    }

    fn new(name: String, client: JsonClient, shape: Shape) -> Self {
        let identity = client.identity("openai", &shape.model);
        let info = EngineInfo::new(name).with_identity(identity);
        Self { info, client, shape }
    }
}

#[async_trait]
impl Engine for OpenAi {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let body = body(&self.shape, request)?;
        let n = if self.shape.sends_n { request.sampling.n } else { 1 };
        exchange::<Chat>(&self.client, "chat/completions", &body, self.shape.stream, n).await
    }
}

/// Settings of an [`OpenAi`] engine; see [`OpenAi::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct OpenAiBuilder {
    client: JsonClientBuilder,
    name: Option<String>,
    shape: Shape,
}

impl OpenAiBuilder {
    fn new(base_url: String, model: String) -> Self {
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

    /// HTTP settings: headers, timeouts, proxies.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.client = self.client.http(options);
        self
    }

    /// The name of the engine. Default: `openai:<model>`. Traces take what is before the colon for the provider.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name under which [`Sampling::max_tokens`](textgrad_core::Sampling::max_tokens) is sent;
    /// Default: `max_tokens`.
    pub fn max_tokens_field(mut self, field: MaxTokensField) -> Self {
        self.shape.max_tokens_field = field;
        self
    }

    /// The name under which [`Sampling::seed`](textgrad_core::Sampling::seed) is sent. Default: `seed`.
    pub fn seed_field(mut self, field: SeedField) -> Self {
        self.shape.seed_field = field;
        self
    }

    /// Requests one choice whatever [`Sampling::n`](textgrad_core::Sampling::n) is, for servers that refuse
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

    /// Whether responses are streamed. Default: false. The response is the same: streaming only keeps long
    /// answers from running into the idle timeouts of proxies.
    pub fn stream(mut self, stream: bool) -> Self {
        self.shape.stream = stream;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](textgrad_core::ErrorKind::InvalidRequest) if the model has no name, and
    /// those of [`JsonClientBuilder::build`].
    pub fn build(self) -> Result<OpenAi, EngineError> {
        let model = named(&self.shape.model)?;
        let name = self.name.unwrap_or_else(|| format!("openai:{model}"));
        Ok(OpenAi::new(name, self.client.build()?, Shape { model, ..self.shape }))
    }
}
