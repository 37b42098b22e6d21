//! The engine itself.

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, Request, Response};

use super::body::{Shape, body};
use super::builder::OpenAiBuilder;
use super::reply::Chat;
use crate::engine::http::JsonClient;
use crate::engine::wire::exchange;

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

    pub(super) fn new(name: String, client: JsonClient, shape: Shape) -> Self {
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
