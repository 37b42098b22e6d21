//! Anthropic's Messages API.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use derive_setters::Setters;
use serde_json::{Map, Value, json};
use textgrad_core::{
    Engine, EngineError, EngineInfo, EngineStatus, MessageRole, Part, Request, Response, Sampling,
    Usage,
};

use super::http::{JsonClient, JsonClientBuilder};
use super::wire::{
    Conversation, Dialect, ModelSettings, RawChoice, RawReply, ServedModel, Turn, check,
    json_schema, refuse_own, set, stop, take_object, without_logprobs,
};
use super::{invalid, unsupported};

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
        self.model.exchange::<Messages>(request.purpose, self.body(request)?, 1).await
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
            model: ServedModel::new("anthropic", "v1/messages", self.model, self.client)?,
            default_max_tokens: self.default_max_tokens,
        })
    }
}

/// Fields of the body that have a setting of their own, and the setting.
const OWN: [(&str, &str); 8] = [
    ("model", "Anthropic::builder"),
    ("messages", "Request::messages"),
    ("system", "Request::messages"),
    ("max_tokens", "Sampling::max_tokens"),
    ("temperature", "Sampling::temperature"),
    ("top_p", "Sampling::top_p"),
    ("stop_sequences", "Sampling::stop"),
    ("stream", "AnthropicBuilder::stream"),
];

impl Anthropic {
    /// The body of a request.
    fn body(&self, request: &Request) -> Result<Map<String, Value>, EngineError> {
        let sampling = &request.sampling;
        check(sampling)?;
        refuse_own(&sampling.extra, "", &OWN)?;
        without_logprobs(sampling)?;
        check_own(sampling)?;
        let Conversation { system, turns } =
            Conversation::new(&request.messages, |text| !text.trim().is_empty())?;
        let mut body = Map::new();
        body.insert("model".into(), self.model.id.as_str().into());
        let longest = sampling.max_tokens.unwrap_or(self.default_max_tokens);
        body.insert("max_tokens".into(), longest.into());
        set(&mut body, "system", system);
        body.insert("messages".into(), messages(&turns));
        set(&mut body, "temperature", sampling.temperature);
        set(&mut body, "top_p", sampling.top_p);
        set(&mut body, "stop_sequences", stop(sampling));
        set(&mut body, "stream", self.model.stream.then_some(true));
        body.extend(sampling.extra.clone());
        if let Some(schema) = json_schema(request)? {
            // Extra fields may bring settings beside the format, such as the effort.
            let mut config =
                take_object(&mut body, "output_config", &[("format", "Request::format")])?;
            let schema = json!({"type": "json_schema", "schema": schema.schema()});
            config.insert("format".into(), schema);
            body.insert("output_config".into(), config.into());
        }
        Ok(body)
    }
}

fn check_own(sampling: &Sampling) -> Result<(), EngineError> {
    if let Some(temperature) = sampling.temperature
        && !(0.0..=1.0).contains(&temperature)
    {
        return Err(invalid(format!(
            "expected a temperature from 0 to 1, which is all that Anthropic's models take, got \
             {temperature}"
        )));
    }
    let penalties = [
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    match penalties.into_iter().find(|(_, penalty)| penalty.is_some_and(|penalty| penalty != 0.0)) {
        Some((name, _)) => {
            Err(unsupported(format!("Anthropic's models take no {name}; leave it out")))
        }
        None => Ok(()),
    }
}

fn messages(turns: &[Turn<'_>]) -> Value {
    let last = turns.len().saturating_sub(1);
    turns
        .iter()
        .enumerate()
        .map(|(index, turn)| {
            // An answer that the model is to go on with must not end in white space.
            let begun = index == last && turn.role == MessageRole::Assistant;
            let text = |text: &str| Value::from(if begun { text.trim_end() } else { text });
            let content = match turn.parts.as_slice() {
                [Part::Text(only)] => text(only),
                parts => parts
                    .iter()
                    .map(|part| match part {
                        Part::Text(each) => json!({"type": "text", "text": text(each)}),
                        Part::Image(image) => json!({"type": "image", "source": {
                            "type": "base64",
                            "media_type": image.media_type(),
                            "data": image.to_base64(),
                        }}),
                    })
                    .collect(),
            };
            json!({"role": turn.role, "content": content})
        })
        .collect()
}

/// The way messages are written.
enum Messages {}

impl Dialect for Messages {
    const REPLY: &'static str = "a message with content";
    const END_MARK: bool = true;

    fn whole(value: &Value) -> Option<RawReply> {
        let blocks = value.get("content")?.as_array()?;
        let mut choice = RawChoice::default();
        blocks.iter().for_each(|block| push_block(&mut choice, block));
        choice.finish_reason = reason(value);
        Some(RawReply {
            choices: [(0, choice)].into(),
            usage: usage(Usage::default(), value.get("usage")),
            model: model(value).unwrap_or_default(),
            ..RawReply::default()
        })
    }

    fn event(event: &Value, reply: &mut RawReply) {
        match event.get("type").and_then(Value::as_str) {
            Some("message_start") => {
                let message = event.get("message").unwrap_or(&Value::Null);
                reply.usage = usage(reply.usage, message.get("usage"));
                reply.model = model(message).unwrap_or_default();
                reply.choice(0);
            }
            Some("content_block_start") => {
                if let Some(block) = event.get("content_block") {
                    push_block(reply.choice(0), block);
                }
            }
            Some("content_block_delta") => {
                let delta = |name| event.get("delta")?.get(name)?.as_str();
                if let Some(text) = delta("text") {
                    reply.choice(0).push(text);
                }
                reply.choice(0).reasoning.push_str(delta("thinking").unwrap_or_default());
            }
            Some("message_delta") => {
                // Figures are totals so far, not differences.
                reply.usage = usage(reply.usage, event.get("usage"));
                if let Some(reason) = event.get("delta").and_then(reason) {
                    reply.choice(0).finish_reason = Some(reason);
                }
            }
            Some("message_stop") => reply.done = true,
            _ => {}
        }
    }
}

/// Adds a block of text or reasoning.
fn push_block(choice: &mut RawChoice, block: &Value) {
    let text = |name| block.get(name).and_then(Value::as_str);
    match text("type") {
        Some("text") => text("text").into_iter().for_each(|text| choice.push(text)),
        Some("thinking") => choice.reasoning.push_str(text("thinking").unwrap_or_default()),
        _ => {}
    }
}

fn model(message: &Value) -> Option<String> {
    Some(message.get("model")?.as_str()?.to_owned())
}

/// The reason for which an answer ended, by OpenAI's name where it has one.
fn reason(message: &Value) -> Option<String> {
    let reason = match message.get("stop_reason")?.as_str()? {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        other => other,
    };
    Some(reason.to_owned())
}

/// Tokens as reported, else as known before; totals never fall. Prompt tokens from and to the server's
/// cache are counted apart from the others.
fn usage(known: Usage, reported: Option<&Value>) -> Usage {
    let count = |name: &str| reported?.get(name)?.as_u64();
    let cached = count("cache_read_input_tokens");
    let read = count("input_tokens").map(|input| {
        let written = count("cache_creation_input_tokens").unwrap_or_default();
        input.saturating_add(written).saturating_add(cached.unwrap_or_default())
    });
    Usage {
        prompt_tokens: read.unwrap_or_default().max(known.prompt_tokens),
        completion_tokens: count("output_tokens").unwrap_or_default().max(known.completion_tokens),
        cached_tokens: cached.unwrap_or_default().max(known.cached_tokens),
        ..known
    }
}
