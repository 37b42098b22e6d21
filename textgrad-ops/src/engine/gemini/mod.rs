//! Google's Gemini API: `generateContent`.

#[cfg(test)]
mod tests;
mod wire;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, EngineStatus, Request, Response, truncate};

use self::wire::{Candidates, body};
use super::http::{JsonClient, JsonClientBuilder};
use super::wire::{ModelSettings, ServedModel};
use super::{invalid, is_path_segment};

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
    /// Its id is the path of the model.
    model: ServedModel,
}

impl Gemini {
    /// Settings for an engine of a server, such as `https://generativelanguage.googleapis.com/v1beta`, and one
    /// of its models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> GeminiBuilder {
        GeminiBuilder::new(JsonClient::builder(base_url), ModelSettings::new(model))
    }
}

#[async_trait]
impl Engine for Gemini {
    fn info(&self) -> &EngineInfo {
        &self.model.info
    }

    async fn status(&self) -> EngineStatus {
        self.model.status()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let stream = self.model.stream;
        let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let path = format!("{}:{method}", self.model.id);
        let n = request.sampling.n;
        self.model.exchange::<Candidates>(&path, request.purpose, body(request, n)?, n).await
    }
}

/// Settings of a [`Gemini`] engine; see [`Gemini::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing until it is built"]
pub struct GeminiBuilder {
    pub(super) client: JsonClientBuilder,
    pub(super) model: ModelSettings,
}

impl GeminiBuilder {
    pub(super) fn new(client: JsonClientBuilder, model: ModelSettings) -> Self {
        Self { client, model }
    }

    /// The engine.
    ///
    /// # Errors
    /// [`InvalidRequest`](textgrad_core::ErrorKind::InvalidRequest) if the model has no name or one that cannot be
    /// part of a path, and those of [`JsonClientBuilder::build`].
    pub fn build(mut self) -> Result<Gemini, EngineError> {
        self.client.key_header.get_or_insert_with(|| "x-goog-api-key".to_owned());
        let mut model = self.model.named("gemini")?;
        model.id = resource(&model.id)?;
        let model = ServedModel::new("gemini", model, self.client)?;
        Ok(Gemini { model })
    }
}

/// The path of a model: `models/<name>` unless it says what it is.
fn resource(model: &str) -> Result<String, EngineError> {
    // The name becomes part of a path, and must not lead out of it.
    if !model.split('/').all(is_path_segment) {
        let got = truncate(model, 80);
        return Err(invalid(format!(
            "expected the name of a model such as gemini-2.5-flash, got {got:?}"
        )));
    }
    Ok(if model.contains('/') { model.to_owned() } else { format!("models/{model}") })
}
