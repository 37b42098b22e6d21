//! Google's Gemini API: `generateContent`.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use textgrad_core::{
    Engine, EngineError, EngineInfo, EngineStatus, MessageRole, Part, Request, Response, Usage,
    truncate,
};

use super::http::{JsonClient, JsonClientBuilder};
use super::wire::{
    Conversation, Dialect, ModelSettings, RawReply, ServedModel, check, json_schema, refuse_own,
    set, stop, take_object, without_logprobs,
};
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
        let n = request.sampling.n;
        self.model.exchange::<Candidates>(request.purpose, body(request, n)?, n).await
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
        let method = match model.stream {
            true => "streamGenerateContent?alt=sse",
            false => "generateContent",
        };
        let path = format!("{}:{method}", model.id);
        let model = ServedModel::new("gemini", &path, model, self.client)?;
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

/// Seeds are signed 32-bit numbers.
const SEED_BITS: u64 = 0x7fff_ffff;

/// Fields of the body that have a setting of their own, and the setting.
const OWN: [(&str, &str); 2] =
    [("contents", "Request::messages"), ("systemInstruction", "Request::messages")];

/// Fields of `generationConfig` that have a setting of their own, and the setting.
const OWN_CONFIG: [(&str, &str); 10] = [
    ("candidateCount", "Sampling::n"),
    ("temperature", "Sampling::temperature"),
    ("topP", "Sampling::top_p"),
    ("maxOutputTokens", "Sampling::max_tokens"),
    ("seed", "Sampling::seed"),
    ("stopSequences", "Sampling::stop"),
    ("frequencyPenalty", "Sampling::frequency_penalty"),
    ("presencePenalty", "Sampling::presence_penalty"),
    ("responseMimeType", "Request::format"),
    ("responseJsonSchema", "Request::format"),
];

/// The body of a request for `n` answers. Parameters that are not set are not sent.
fn body(request: &Request, n: u32) -> Result<Map<String, Value>, EngineError> {
    let sampling = &request.sampling;
    check(sampling)?;
    refuse_own(&sampling.extra, "", &OWN)?;
    without_logprobs(sampling)?;
    let Conversation { system, turns } =
        Conversation::new(&request.messages, |text| !text.is_empty())?;
    let contents: Vec<Value> = turns
        .iter()
        .map(|turn| {
            let role = if turn.role == MessageRole::Assistant { "model" } else { "user" };
            let parts: Vec<Value> = turn.parts.iter().copied().map(part).collect();
            json!({"role": role, "parts": parts})
        })
        .collect();
    let mut body = sampling.extra.clone();
    body.insert("contents".into(), contents.into());
    set(&mut body, "systemInstruction", system.map(|text| json!({"parts": [{"text": text}]})));
    let mut config = take_object(&mut body, "generationConfig", &OWN_CONFIG)?;
    set(&mut config, "candidateCount", Some(n).filter(|n| *n != 1));
    set(&mut config, "temperature", sampling.temperature);
    set(&mut config, "topP", sampling.top_p);
    set(&mut config, "frequencyPenalty", sampling.frequency_penalty);
    set(&mut config, "presencePenalty", sampling.presence_penalty);
    set(&mut config, "maxOutputTokens", sampling.max_tokens);
    set(&mut config, "seed", sampling.seed.map(|seed| seed & SEED_BITS));
    set(&mut config, "stopSequences", stop(sampling));
    if let Some(schema) = json_schema(request)? {
        config.insert("responseMimeType".into(), "application/json".into());
        config.insert("responseJsonSchema".into(), Value::Object(schema.schema().clone()));
    }
    if !config.is_empty() {
        body.insert("generationConfig".into(), Value::Object(config));
    }
    Ok(body)
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"text": text}),
        Part::Image(image) => {
            json!({"inlineData": {"mimeType": image.media_type(), "data": image.to_base64()}})
        }
    }
}

/// The way `generateContent` answers. The events of a stream have the shape of whole replies.
enum Candidates {}

impl Dialect for Candidates {
    const REPLY: &'static str = "a reply with candidates";
    const END_MARK: bool = false;

    fn whole(value: &Value) -> Option<RawReply> {
        let known = ["candidates", "promptFeedback", "usageMetadata"];
        if !known.iter().any(|field| value.get(field).is_some_and(|value| !value.is_null())) {
            return None;
        }
        let mut reply = RawReply::default();
        Self::event(value, &mut reply);
        Some(reply)
    }

    fn event(value: &Value, reply: &mut RawReply) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        if let Some(model) = text("/modelVersion") {
            model.clone_into(&mut reply.model);
        }
        if let Some(reported) = value.get("usageMetadata").filter(|reported| reported.is_object()) {
            reply.usage = usage(reported);
        }
        if let Some(reason) = text("/promptFeedback/blockReason") {
            reply.refused = Some(reason.to_owned());
        }
        let candidates = value.get("candidates").and_then(Value::as_array).into_iter().flatten();
        for (place, candidate) in (0..).zip(candidates) {
            let index = candidate.get("index").and_then(Value::as_u64).unwrap_or(place);
            let choice = reply.choice(index);
            let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
            for part in parts.into_iter().flatten() {
                let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
                match part.get("thought").and_then(Value::as_bool) {
                    Some(true) => choice.reasoning.push_str(text),
                    _ if text.is_empty() => {}
                    _ => choice.push(text),
                }
            }
            if let Some(reason) = candidate.get("finishReason").and_then(Value::as_str) {
                choice.finish_reason = Some(named(reason).to_owned());
                if named(reason) == "content_filter" {
                    let words = candidate.get("finishMessage").and_then(Value::as_str);
                    choice.refusal = Some(words.unwrap_or(reason).to_owned());
                }
            }
        }
    }
}

/// The reason for which an answer ended, by OpenAI's name where it has one.
fn named(reason: &str) -> &str {
    match reason {
        "STOP" => "stop",
        "MAX_TOKENS" => "length",
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "OTHER" => "content_filter",
        reason if reason.starts_with("IMAGE_") => "content_filter",
        // Calls of tools that no request offers: the same request is likely to bring one again.
        reason if reason.ends_with("_CALL") || reason.ends_with("_TOOL_CALLS") => "content_filter",
        other => other,
    }
}

/// Tokens as reported. Thoughts are completion tokens as well.
fn usage(reported: &Value) -> Usage {
    let count = |name: &str| reported.get(name).and_then(Value::as_u64).unwrap_or_default();
    Usage {
        prompt_tokens: count("promptTokenCount"),
        completion_tokens: count("candidatesTokenCount")
            .saturating_add(count("thoughtsTokenCount")),
        cached_tokens: count("cachedContentTokenCount"),
        reasoning_tokens: count("thoughtsTokenCount"),
    }
}
