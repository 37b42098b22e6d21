//! Google's Gemini API: `generateContent`.

mod body;
mod reply;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use secrecy::SecretString;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response, truncate};

use self::body::body;
use self::reply::Candidates;
use super::http::{HttpOptions, JsonClient, JsonClientBuilder};
use super::wire::{exchange, named};

/// An engine that speaks the Gemini API.
///
/// * Several answers are asked for as `candidateCount`. A model that knows only one is asked again, and from
///   then on, for one: [`EngineExt::complete_choices`](crate::layer::EngineExt::complete_choices) asks for the others.
/// * Seeds are 32-bit numbers there: the low 31 bits are sent.
/// * System messages become the one system instruction, messages of one side in a row one turn. Empty texts
///   are left out: the API refuses them.
/// * [`Sampling::extra`](textgrad_core::Sampling::extra) goes to the top level of the body; an object
///   `generationConfig` in it adds to the one that is sent, such as `{"generationConfig": {"topK": 40}}`.
/// * A [`format`](textgrad_core::Request::format) is sent as `responseJsonSchema`.
/// * A prompt that is blocked is a final error, an answer that is blocked ends with
///   [`ContentFilter`](textgrad_core::FinishReason::ContentFilter), or is a final error if nothing was
///   written. Thoughts are not part of an answer, but their tokens count as written.
///
/// # Examples
/// ```
/// use textgrad_core::Engine;
/// use textgrad_ops::engine::Gemini;
///
/// let url = "https://generativelanguage.googleapis.com/v1beta";
/// let engine = Gemini::builder(url, "gemini-2.5-flash").key("...").build()?;
/// assert_eq!(engine.name(), "gemini:gemini-2.5-flash");
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gemini {
    info: EngineInfo,
    client: JsonClient,
    /// The path of the model.
    resource: String,
    stream: bool,
    single: Arc<AtomicBool>,
}

impl Gemini {
    /// Settings for an engine of a server, such as `https://generativelanguage.googleapis.com/v1beta`, and one
    /// of its models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> GeminiBuilder {
        GeminiBuilder::new(base_url.into(), model.into())
    }

    fn new(name: String, client: JsonClient, resource: String, stream: bool) -> Self {
        let identity = client.identity("gemini", &resource);
        let info = EngineInfo::new(name).with_identity(identity);
        Self { info, client, resource, stream, single: Arc::default() }
    }

    async fn ask(&self, request: &Request, n: u32) -> Result<Response, EngineError> {
        let body = body(request, n)?;
        let method = if self.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let path = format!("{}:{method}", self.resource);
        exchange::<Candidates>(&self.client, &path, &body, self.stream, n).await
    }
}

/// Whether an error means that the model returns one candidate at a time; only its message shows it.
fn knows_one_only(error: &EngineError) -> bool {
    error.kind() == ErrorKind::InvalidRequest
        && error.status() == Some(400)
        && ["Multiple candidates", "Only one candidate"]
            .iter()
            .any(|words| error.message().contains(words))
}

#[async_trait]
impl Engine for Gemini {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let n = request.sampling.n;
        if n > 1 && !self.single.load(Ordering::Relaxed) {
            match self.ask(request, n).await {
                Err(error) if knows_one_only(&error) => {
                    self.single.store(true, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        self.ask(request, n.min(1)).await
    }
}

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
    fn new(base_url: String, model: String) -> Self {
        Self { client: JsonClient::builder(base_url), name: None, model, stream: false }
    }

    /// The key, sent as `x-goog-api-key`.
    pub fn key(mut self, key: impl Into<SecretString>) -> Self {
        self.client = self.client.key_in("x-goog-api-key", key);
        self
    }

    /// HTTP settings: headers, timeouts, proxies.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.client = self.client.http(options);
        self
    }

    /// The name of the engine. Default: `gemini:<model>`. Traces take what is before the colon for the provider.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether responses are streamed. Default: false. The response is the same: streaming only keeps long
    /// answers from running into the idle timeouts of proxies.
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the model has no name or one that cannot be part of a path, and
    /// those of [`JsonClientBuilder::build`].
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
