//! The engine itself.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, Request, Response};

use super::body::{Shape, body};
use super::builder::AnthropicBuilder;
use super::controls::{Controls, Known};
use super::reply::Messages;
use crate::engine::http::JsonClient;
use crate::engine::wire::exchange;

/// An engine that speaks Anthropic's Messages API.
///
/// * It gives one answer to a request, whatever [`n`](textgrad_core::Sampling::n) is:
///   [`EngineExt::complete_choices`](crate::layer::EngineExt::complete_choices) asks for the others. The API knows no seed, so none
///   is sent, and equal requests may have different answers.
/// * Temperatures are from 0 to 1; others are an error. Penalties are
///   [`Unsupported`](textgrad_core::ErrorKind::Unsupported).
/// * Some models take either temperature or `top_p`, newer ones neither. A model that refuses them is asked
///   again, and from then on, without `top_p`, or without both, and a warning is logged.
/// * System messages become the one system prompt, messages of one side in a row one turn. Texts of only
///   white space are left out, as is white space at the end of an assistant's last turn: the API refuses
///   them.
/// * A [`format`](textgrad_core::Request::format) is sent as `output_config`; models before Claude Sonnet 4.5
///   refuse it.
/// * An answer that is refused ends with [`ContentFilter`](textgrad_core::FinishReason::ContentFilter), or is a
///   final error if nothing was written. Thoughts are not part of an answer.
///
/// # Examples
/// ```
/// use textgrad_core::Engine;
/// use textgrad_ops::engine::Anthropic;
///
/// let engine = Anthropic::builder("https://api.anthropic.com", "claude-haiku-4-5").key("sk-...").build()?;
/// assert_eq!(engine.name(), "anthropic:claude-haiku-4-5");
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Anthropic {
    info: EngineInfo,
    client: JsonClient,
    shape: Shape,
    known: Arc<Known>,
}

impl Anthropic {
    /// Settings for an engine of a server, such as `https://api.anthropic.com` (without `/v1`), and one of its
    /// models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> AnthropicBuilder {
        AnthropicBuilder::new(base_url.into(), model.into())
    }

    pub(super) fn new(name: String, client: JsonClient, shape: Shape) -> Self {
        let identity = client.identity("anthropic", &shape.model);
        let info = EngineInfo::new(name).with_identity(identity);
        Self { info, client, shape, known: Arc::default() }
    }

    async fn ask(&self, request: &Request, controls: Controls) -> Result<Response, EngineError> {
        let body = body(&self.shape, request, controls)?;
        exchange::<Messages>(&self.client, "v1/messages", &body, self.shape.stream, 1).await
    }
}

#[async_trait]
impl Engine for Anthropic {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let mut controls = self.known.get();
        loop {
            let error = match self.ask(request, controls).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            // Each turn sends less than the one before, so there are three at most.
            match self.known.learn(controls, &error, &request.sampling) {
                Some(fewer) if fewer > controls => controls = fewer,
                _ => return Err(error),
            }
        }
    }
}
