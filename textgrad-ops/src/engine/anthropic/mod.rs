//! Anthropic's Messages API.

mod body;
mod reply;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use secrecy::SecretString;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response, Sampling};

use self::body::{Shape, body};
use self::reply::Messages;
use super::http::{HttpOptions, JsonClient, JsonClientBuilder};
use super::wire::{exchange, named};

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
    info: EngineInfo,
    client: JsonClient,
    shape: Shape,
    known: Arc<LearnedControls>,
}

impl Anthropic {
    /// Settings for an engine of a server, such as `https://api.anthropic.com` (without `/v1`), and one of its
    /// models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> AnthropicBuilder {
        AnthropicBuilder::new(base_url.into(), model.into())
    }

    fn new(name: String, client: JsonClient, shape: Shape) -> Self {
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
    fn new(base_url: String, model: String) -> Self {
        Self {
            client: JsonClient::builder(base_url),
            name: None,
            shape: Shape { model, default_max_tokens: MAX_TOKENS, stream: false },
        }
    }

    /// The key, sent as `x-api-key`.
    pub fn key(mut self, key: impl Into<SecretString>) -> Self {
        self.client = self.client.key_in("x-api-key", key);
        self
    }

    /// HTTP settings: headers, timeouts, proxies.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.client = self.client.http(options);
        self
    }

    /// The name of the engine. Default: `anthropic:<model>`. Traces take what is before the colon for the
    /// provider.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The longest answer, in tokens, where [`Sampling::max_tokens`](textgrad_core::Sampling::max_tokens) is
    /// not set; default: 4,096. The API requires a bound.
    pub fn default_max_tokens(mut self, tokens: u32) -> Self {
        self.shape.default_max_tokens = tokens;
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
    /// [`ErrorKind::InvalidRequest`] if the model has no name, and
    /// those of [`JsonClientBuilder::build`].
    pub fn build(self) -> Result<Anthropic, EngineError> {
        let model = named(&self.shape.model)?;
        let name = self.name.unwrap_or_else(|| format!("anthropic:{model}"));
        Ok(Anthropic::new(
            name,
            self.client.protocol_header("anthropic-version", VERSION).build()?,
            Shape { model, ..self.shape },
        ))
    }
}

/// What is sent of temperature and `top_p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Controls {
    /// Whatever is set.
    Both,
    /// The temperature; `top_p` only where there is none.
    One,
    /// Neither.
    Neither,
}

impl Controls {
    /// The temperature and `top_p` to send.
    fn of(self, sampling: &Sampling) -> (Option<f64>, Option<f64>) {
        match (self, sampling.temperature, sampling.top_p) {
            (Self::Neither, ..) => (None, None),
            (Self::One, Some(temperature), _) => (Some(temperature), None),
            (_, temperature, top_p) => (temperature, top_p),
        }
    }

    /// What to send after a refusal; `None` if the refusal is for something else.
    ///
    /// Models from Claude Opus 4.1 to 4.6 take one of the two; those after it take none and call both
    /// deprecated. Only the message of the error shows it.
    fn after(self, error: &EngineError, sampling: &Sampling) -> Option<Self> {
        let says = |word| error.message().contains(word);
        let refused = error.kind() == ErrorKind::InvalidRequest
            && error.status() == Some(400)
            && (says("temperature") || says("top_p"));
        let next = if refused && says("cannot both be specified") {
            Self::One
        } else if refused && says("deprecated for this model") {
            Self::Neither
        } else {
            return None;
        };
        (next.of(sampling) != self.of(sampling)).then_some(next)
    }
}

/// What was learned of a model so far.
#[derive(Debug, Default)]
struct LearnedControls(AtomicU8);

impl LearnedControls {
    fn get(&self) -> Controls {
        match self.0.load(Ordering::Relaxed) {
            0 => Controls::Both,
            1 => Controls::One,
            _ => Controls::Neither,
        }
    }

    /// Takes note of a refusal; what to send instead, if that can help.
    fn learn(&self, sent: Controls, error: &EngineError, sampling: &Sampling) -> Option<Controls> {
        let next = sent.after(error, sampling)?;
        if self.0.fetch_max(next as u8, Ordering::Relaxed) < next as u8 {
            tracing::warn!(
                temperature = next.of(sampling).0,
                "the model refuses these controls of sampling; going on without top_p{}",
                if next == Controls::Neither { " and temperature" } else { "" }
            );
        }
        Some(next)
    }
}
