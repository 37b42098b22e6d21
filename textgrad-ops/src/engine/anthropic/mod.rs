//! Anthropic's Messages API.

#[cfg(test)]
mod tests;
mod wire;

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::{Engine, EngineError, EngineInfo, EngineStatus, Request, Response};

use self::wire::Messages;
use super::http::{JsonClient, JsonClientBuilder};
use super::wire::{ModelSettings, ServedModel};

/// An engine that speaks Anthropic's Messages API.
///
/// * It gives one answer to a request, whatever [`n`](textgrad_core::Sampling::n) is:
///   [`EngineExt::complete_choices`](crate::layer::EngineExt::complete_choices) asks for the others. The API
///   knows no seed, so none
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
    model: ServedModel,
    default_max_tokens: u32,
}

impl Anthropic {
    /// Settings for an engine of a server, such as `https://api.anthropic.com` (without `/v1`), and one of its
    /// models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> AnthropicBuilder {
        AnthropicBuilder::new(JsonClient::builder(base_url), ModelSettings::new(model))
    }
}

#[async_trait]
impl Engine for Anthropic {
    fn info(&self) -> &EngineInfo {
        &self.model.info
    }

    async fn status(&self) -> EngineStatus {
        self.model.status()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.model
            .exchange::<Messages>("v1/messages", request.purpose, self.body(request)?, 1)
            .await
    }
}

/// The version of the API that is spoken.
const VERSION: &str = "2023-06-01";
/// The longest answer where the sampling does not say, in tokens: enough for an essay, and within what every
/// model since Claude 3 can write.
const MAX_TOKENS: u32 = 4096;

/// Settings of an [`Anthropic`] engine; see [`Anthropic::builder`].
#[derive(Debug, Clone, Setters)]
#[must_use = "a builder makes nothing until it is built"]
pub struct AnthropicBuilder {
    #[setters(skip)]
    pub(super) client: JsonClientBuilder,
    #[setters(skip)]
    pub(super) model: ModelSettings,
    /// The longest answer, in tokens, where [`Sampling::max_tokens`](textgrad_core::Sampling::max_tokens) is
    /// not set; default: 4,096. The API requires a bound.
    default_max_tokens: u32,
}

impl AnthropicBuilder {
    pub(super) fn new(client: JsonClientBuilder, model: ModelSettings) -> Self {
        Self { client, model, default_max_tokens: MAX_TOKENS }
    }

    /// The engine.
    ///
    /// # Errors
    /// [`InvalidRequest`](textgrad_core::ErrorKind::InvalidRequest) if the model has no name, and
    /// those of [`JsonClientBuilder::build`].
    pub fn build(mut self) -> Result<Anthropic, EngineError> {
        self.client.key_header.get_or_insert_with(|| "x-api-key".to_owned());
        self.client.http = self.client.http.header("anthropic-version", VERSION);
        Ok(Anthropic {
            model: ServedModel::new("anthropic", self.model, self.client)?,
            default_max_tokens: self.default_max_tokens,
        })
    }
}
