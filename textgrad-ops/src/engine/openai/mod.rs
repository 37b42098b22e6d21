//! OpenAI chat completions, as vLLM, SGLang, llama.cpp, Ollama and many others serve them.

mod body;
mod reply;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, EngineStatus, Request, Response};

use self::body::Shape;
pub use self::body::{GrammarField, MaxTokensField, SeedField};
use self::reply::Chat;
use super::http::{JsonClient, JsonClientBuilder};
use super::wire::{ModelSettings, ServedModel};

/// An engine that speaks OpenAI's chat completions.
///
/// It makes each call once and takes the answers as they come; see [`layer`](crate::layer) for
/// retries, limits and servers that give fewer answers than asked. Where a content filter has left nothing of
/// any answer, that is a final error: it would leave nothing again.
///
/// Its clones share connections, each of which belongs to the runtime that opened it. A program with several runtimes
/// builds an engine for each: when a runtime ends, requests of others on its connections fail. Such failures are
/// transient, so [`retry`](crate::layer::EngineExt::retry) passes over them.
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
    model: ServedModel,
    shape: Shape,
}

impl OpenAi {
    /// Settings for an engine of a server, such as `http://localhost:8000/v1`, and one of its models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder::new(JsonClient::builder(base_url), ModelSettings::new(model))
    }
}

#[async_trait]
impl Engine for OpenAi {
    fn info(&self) -> &EngineInfo {
        &self.model.info
    }

    async fn status(&self) -> EngineStatus {
        let context_length = self.model.context_length().await;
        EngineStatus { context_length, ..self.model.status() }
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let n = if self.shape.single_answers { 1 } else { request.sampling.n };
        self.model.exchange::<Chat>(request.purpose, self.body(request)?, n).await
    }
}

/// Settings of an [`OpenAi`] engine; see [`OpenAi::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct OpenAiBuilder {
    pub(super) client: JsonClientBuilder,
    pub(super) model: ModelSettings,
    shape: Shape,
}

impl OpenAiBuilder {
    pub(super) fn new(client: JsonClientBuilder, model: ModelSettings) -> Self {
        Self { client, model, shape: Shape::default() }
    }

    /// The engine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](textgrad_core::ErrorKind::InvalidRequest) if the model has no name, and
    /// those of [`JsonClientBuilder::build`].
    pub fn build(mut self) -> Result<OpenAi, EngineError> {
        self.client.default_path = "/v1";
        Ok(OpenAi {
            model: ServedModel::new("openai", "chat/completions", self.model, self.client)?,
            shape: self.shape,
        })
    }
}
