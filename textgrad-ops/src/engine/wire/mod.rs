//! Parts that all wire formats share: the settings of a model, requests, one exchange over HTTP, and replies.

mod adapt;
mod reply;
mod request;
mod truncation;

use std::sync::Arc;

use bytes::Bytes;
use derive_setters::Setters;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use textgrad_core::{EngineError, EngineInfo, EngineStatus, ErrorKind, Purpose, Response};

use self::adapt::{Adaptation, Remedy};
pub(crate) use self::reply::{RawChoice, RawReply};
pub(crate) use self::request::check;
pub(super) use self::request::{
    Conversation, Turn, json_schema, refuse_own, set, stop, take_object, without_logprobs,
};
pub(crate) use self::truncation::TruncatedReplies;
use self::truncation::{TruncationWatch, prompt_chars};
use super::anthropic::AnthropicBuilder;
use super::gemini::GeminiBuilder;
use super::http::{Event, Events, JsonClient, JsonClientBuilder, Route, context_length, to_json};
use super::invalid;
use super::openai::OpenAiBuilder;
use super::preset::EngineBuilder;

/// Settings of a model that all providers share.
#[derive(Debug, Clone, Default, Setters)]
#[setters(
    generate_delegates(ty = "OpenAiBuilder", field = "model"),
    generate_delegates(ty = "AnthropicBuilder", field = "model"),
    generate_delegates(ty = "GeminiBuilder", field = "model"),
    generate_delegates(ty = "EngineBuilder", field = "model")
)]
pub(crate) struct ModelSettings {
    #[setters(skip)]
    pub(super) id: String,
    /// The name of the engine. Default: `<provider>:<model>`, such as `openai:llama3`. Traces take what is before the
    /// colon for the provider.
    #[setters(into, strip_option)]
    pub(super) name: Option<String>,
    /// Whether responses are streamed. Default: false. The response is the same: streaming only keeps long
    /// answers from running into the idle timeouts of proxies.
    pub(super) stream: bool,
    /// Leaves reasoning that stands in the text of an answer, such as `<think>..</think>`, there. By default it is
    /// separated; see [`Choice::reasoning`](textgrad_core::Choice::reasoning).
    #[setters(bool)]
    pub(super) inline_reasoning: bool,
}

impl ModelSettings {
    pub(super) fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Names the engine after the model, unless it has a name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the model has no name.
    pub(super) fn named(mut self, provider: &str) -> Result<Self, EngineError> {
        self.id = self.id.trim().to_owned();
        if self.id.is_empty() {
            return Err(invalid("expected the name of a model, got an empty one"));
        }
        self.name.get_or_insert_with(|| format!("{provider}:{}", self.id));
        Ok(self)
    }
}

/// A model of a server, ready to be called.
#[derive(Debug, Clone)]
pub(super) struct ServedModel {
    pub(super) info: EngineInfo,
    pub(super) id: String,
    pub(super) stream: bool,
    inline_reasoning: bool,
    client: JsonClient,
    /// Where its requests go.
    route: Route,
    learned: Arc<Mutex<Learned>>,
    truncated: Arc<TruncatedReplies>,
}

/// What an engine has learned about its server. Clones of the engine share it.
#[derive(Debug, Default)]
struct Learned {
    adaptation: Adaptation,
    truncation: TruncationWatch,
}

/// Largest number of changes of a request that was refused.
const MAX_REMEDIES: usize = 8;

impl ServedModel {
    /// The model at the server of a client. Its identity is protocol, address without credentials and query, and
    /// model; a slash at the end of the address makes no difference.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the model has no name, and those of [`JsonClientBuilder::build`].
    pub(super) fn new(
        protocol: &str,
        path: &str,
        settings: ModelSettings,
        client: JsonClientBuilder,
    ) -> Result<Self, EngineError> {
        let ModelSettings { id, name, stream, inline_reasoning } = settings.named(protocol)?;
        let client = client.build()?;
        let address = client.base_url();
        let identity = format!("{protocol}+{}#{id}", address.trim_end_matches('/'));
        let info = EngineInfo::new(name.unwrap_or_default()).with_identity(identity);
        let route = client.route(path);
        Ok(Self {
            info,
            id,
            stream,
            inline_reasoning,
            client,
            route,
            learned: Arc::default(),
            truncated: Arc::default(),
        })
    }

    /// Posts `body` and reads at most `n` answers.
    ///
    /// A request that the server refuses for something that it can go without is changed and posted again. What
    /// holds for all requests is remembered.
    pub(super) async fn exchange<D: Dialect>(
        &self,
        purpose: Purpose,
        body: Map<String, Value>,
        n: u32,
    ) -> Result<Response, EngineError> {
        let response = self.adapted::<D>(body, n).await?;
        self.truncated.warn(self.info.name(), purpose, &response);
        Ok(response)
    }

    async fn adapted<D: Dialect>(
        &self,
        body: Map<String, Value>,
        n: u32,
    ) -> Result<Response, EngineError> {
        let mut body = Value::Object(body);
        self.learned(|learned| learned.adaptation.apply(&mut body));
        for _ in 0..MAX_REMEDIES {
            // What a reply takes to arrive is most of the time that a search takes, so the texts are there once.
            let (chars, sent) = (prompt_chars(&body), SentBody::new::<D>(body, n)?);
            let error = match self.post::<D>(sent.clone()).await {
                Ok(response) => {
                    if self.learned(|learned| learned.truncation.observe(chars, response.usage)) {
                        tracing::warn!(
                            engine = self.info.name(),
                            prompt_tokens = response.usage.prompt_tokens,
                            "the server seems to truncate long prompts silently; raise its context length \
                             (Ollama: num_ctx or OLLAMA_CONTEXT_LENGTH) or send shorter prompts"
                        );
                    }
                    return Ok(response);
                }
                Err(error) => error,
            };
            body = sent.read()?;
            let Some(remedy) = Remedy::find(&error, &body) else {
                return Err(adapt::with_advice(error));
            };
            remedy.apply(&mut body);
            if self.learned(|learned| learned.adaptation.learn(&remedy)) {
                tracing::warn!(engine = self.info.name(), %error, "the server refuses a request; {remedy}");
            }
        }
        self.post::<D>(SentBody::new::<D>(body, n)?).await
    }

    /// What was learned from refusals.
    pub(super) fn status(&self) -> EngineStatus {
        let adaptations = self.learned(|learned| {
            learned.adaptation.remedies().map(|remedy| remedy.to_string()).collect()
        });
        EngineStatus { adaptations, ..EngineStatus::default() }
    }

    /// The length of the context that the server reports.
    pub(super) async fn context_length(&self) -> Option<u64> {
        context_length(&self.client, &self.id).await
    }

    fn learned<T>(&self, use_it: impl FnOnce(&mut Learned) -> T) -> T {
        use_it(&mut self.learned.lock())
    }

    async fn post<D: Dialect>(
        &self,
        SentBody { bytes, n }: SentBody,
    ) -> Result<Response, EngineError> {
        let accept = if self.stream { "text/event-stream" } else { "application/json" };
        let mut reply = self.client.post_bytes(self.route.clone(), bytes, accept).await?;
        let report = reply.report().clone();
        // Some servers stream without being asked, others answer whole where a stream was asked for.
        let raw = if reply.is_stream(self.stream).await? {
            collect::<D>(Events::new(reply), n).await?
        } else {
            let value = reply.json().await?;
            D::whole(&value).ok_or_else(|| {
                let what = report.quote(value.to_string().as_bytes());
                report.error(ErrorKind::BadResponse, format!("expected {}, got `{what}`", D::REPLY))
            })?
        };
        raw.into_response(n, self.inline_reasoning).map_err(|error| report.locate(error))
    }
}

/// The body of a request as it is sent. Clones share it.
#[derive(Clone)]
struct SentBody {
    bytes: Bytes,
    /// How many answers it asks for.
    n: u32,
}

impl SentBody {
    fn new<D: Dialect>(body: Value, n: u32) -> Result<Self, EngineError> {
        let n = if body.get("n").is_none() && D::SENDS_N { 1 } else { n };
        let mut bytes = to_json(&body, 8 * 1024)?;
        bytes.shrink_to_fit();
        Ok(Self { bytes: bytes.into(), n })
    }

    fn read(&self) -> Result<Value, EngineError> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| invalid("the body of the request cannot be read").with_source(error))
    }
}

/// How a server writes its answers.
pub(super) trait Dialect {
    /// What a whole reply is, in words.
    const REPLY: &'static str;
    /// Whether streams have an end mark. Without one, a stream that ends after the last answer that it began
    /// is whole, even with fewer choices than requested.
    const END_MARK: bool;
    /// Whether a request without `n` asks for one answer.
    const SENDS_N: bool = false;

    /// Reads a whole reply; `None` if it is none.
    fn whole(value: &Value) -> Option<RawReply>;

    /// Adds an event of a stream to what was received before.
    fn event(value: &Value, reply: &mut RawReply);
}

/// Reads a stream to its end.
///
/// # Errors
/// An error event; a broken connection; a stream that ends before all of its answers have.
async fn collect<D: Dialect>(mut events: Events, n: u32) -> Result<RawReply, EngineError> {
    let mut reply = RawReply::default();
    loop {
        let event = events.next().await.map_err(|error| error.with_usage(reply.usage))?;
        let done = match event {
            Event::Json(value) => {
                D::event(&value, &mut reply);
                if !reply.done {
                    continue;
                }
                true
            }
            Event::Done => true,
            Event::End => false,
        };
        let kind = if done { ErrorKind::BadResponse } else { ErrorKind::Connection };
        return match reply.missing(done, if D::END_MARK { n } else { 1 }) {
            Some(what) => Err(events.report().error(kind, what).with_usage(reply.usage)),
            None => Ok(reply),
        };
    }
}
