//! The engine itself.

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response};

use super::body::{Shape, body};
use super::builder::OpenAiBuilder;
use super::reply::RawReply;
use super::stream::collect;
use crate::engine::http::{JsonClient, Reply, Report};

/// An engine that speaks OpenAI's chat completions.
///
/// It makes each call once and takes the answers as they come; see [`layer`](crate::engine::layer) for
/// retries, limits and servers that give fewer answers than asked.
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
    name: String,
    client: JsonClient,
    shape: Shape,
}

impl OpenAi {
    /// Settings for an engine of a server, such as `http://localhost:8000/v1`, and one of its models.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder::new(base_url.into(), model.into())
    }

    pub(super) fn new(name: String, client: JsonClient, shape: Shape) -> Self {
        Self { name, client, shape }
    }
}

#[async_trait]
impl Engine for OpenAi {
    fn name(&self) -> &str {
        &self.name
    }

    /// The server's address, without credentials and query, and the model.
    fn identity(&self) -> Cow<'_, str> {
        Cow::Owned(self.client.identity("openai", &self.shape.model))
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        const PATH: &str = "chat/completions";
        let n = request.sampling.n;
        let body = body(&self.shape, request)?;
        let reply = if self.shape.stream {
            self.client.post_stream(PATH, &body).await?
        } else {
            self.client.post_whole(PATH, &body).await?
        };
        let (raw, report) = match reply {
            Reply::Whole(value, report) => {
                let raw = RawReply::read(&value).ok_or_else(|| {
                    let what = report.quote(value.to_string().as_bytes());
                    bad(&report, &format!("expected a chat completion with choices, got `{what}`"))
                })?;
                (raw, report)
            }
            Reply::Events(events) => {
                let report = events.report().clone();
                (collect(events, n).await?, report)
            }
        };
        raw.into_response(n)
            .map_err(|what| bad(&report, &format!("expected an answer, but {what}")))
    }
}

fn bad(report: &Report, what: &str) -> EngineError {
    report.error(ErrorKind::BadResponse, what)
}
