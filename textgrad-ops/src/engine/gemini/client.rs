//! The engine itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response};

use super::body::body;
use super::builder::GeminiBuilder;
use super::reply::Candidates;
use crate::engine::http::JsonClient;
use crate::engine::wire::exchange;

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

    pub(super) fn new(name: String, client: JsonClient, resource: String, stream: bool) -> Self {
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

/// Whether a model said that it gives one answer at a time. It does so in words only.
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
