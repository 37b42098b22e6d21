//! The body of a chat request. Fields that are not named here are ignored, as vLLM does.

use serde::Deserialize;
use textgrad_core::{Message, MessageRole, Purpose, Request, Sampling};

use crate::fake_server::error::ApiError;

/// The most choices that OpenAI gives to one request.
const MAX_N: u32 = 128;

/// The most tokens that a server tells beside one.
const MAX_LOGPROBS: u32 = 20;

/// vLLM takes temperatures below this for greedy.
const GREEDY: f64 = 1e-5;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

#[derive(Debug, Deserialize)]
struct WirePart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<WirePart>),
}

#[derive(Debug, Deserialize)]
struct WireMessage {
    role: String,
    content: Option<Content>,
}

impl WireMessage {
    fn into_message(self) -> Result<Message, ApiError> {
        let role = match self.role.as_str() {
            "system" | "developer" => MessageRole::System,
            "user" => MessageRole::User,
            "assistant" => MessageRole::Assistant,
            other => {
                return Err(ApiError::bad_request(format!("Unknown role '{other}'.")));
            }
        };
        let text = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => parts
                .into_iter()
                .map(|part| match part.text {
                    Some(text) if part.kind == "text" => text,
                    _ => format!("[{}]", part.kind),
                })
                .collect(),
        };
        Ok(Message::new(role, [textgrad_core::Part::Text(text.into())]))
    }
}

/// The messages of a request, as text: what is not text is named in brackets.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Conversation(Vec<WireMessage>);

impl Conversation {
    pub(crate) fn into_messages(self) -> Result<Vec<Message>, ApiError> {
        if self.0.is_empty() {
            return Err(ApiError::bad_request("messages must not be empty."));
        }
        self.0.into_iter().map(WireMessage::into_message).collect()
    }
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The body of a chat request.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatBody {
    model: Option<String>,
    messages: Conversation,
    n: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    stop: Option<OneOrMany>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

/// A chat request that can be answered.
#[derive(Debug)]
pub(crate) struct ValidChat {
    pub(crate) model: Option<String>,
    pub(crate) request: Request,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

impl ChatBody {
    /// Checks what vLLM checks. A server that knows fewer choices than are asked for gives as many as it
    /// knows and says nothing, as Ollama does.
    pub(crate) fn validate(self, max_choices: Option<u32>) -> Result<ValidChat, ApiError> {
        let asked = self.n.unwrap_or(1);
        let n = max_choices.map_or(asked, |most| asked.min(most));
        if n == 0 || n > MAX_N {
            return Err(ApiError::bad_request(format!(
                "n must be between 1 and {MAX_N}, got {n}."
            )));
        }
        if n > 1 && self.temperature.is_some_and(|t| t < GREEDY) {
            return Err(ApiError::bad_request(format!(
                "n must be 1 when using greedy sampling, got {n}."
            )));
        }
        if let Some(temperature) = self.temperature.filter(|t| *t < 0.0) {
            return Err(ApiError::bad_request(format!(
                "temperature must be non-negative, got {temperature}."
            )));
        }
        if let Some(top_p) = self.top_p.filter(|p| *p <= 0.0 || *p > 1.0) {
            return Err(ApiError::bad_request(format!("top_p must be in (0, 1], got {top_p}.")));
        }
        let wants_logprobs = self.logprobs.unwrap_or_default();
        if self.top_logprobs.is_some() && !wants_logprobs {
            return Err(ApiError::bad_request(
                "when using `top_logprobs`, `logprobs` must be set to true.",
            ));
        }
        if let Some(top) = self.top_logprobs.filter(|top| *top > MAX_LOGPROBS) {
            return Err(ApiError::bad_request(format!(
                "Requested sample logprobs of {top}, which is greater than max allowed: {MAX_LOGPROBS}"
            )));
        }
        let top_logprobs = wants_logprobs.then(|| self.top_logprobs.unwrap_or_default());
        let sampling = Sampling {
            n,
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            seed: self.seed.map(i64::cast_unsigned),
            stop: self.stop.map(OneOrMany::into_vec).unwrap_or_default(),
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            top_logprobs,
            ..Sampling::default()
        };
        let messages = self.messages.into_messages()?;
        Ok(ValidChat {
            model: self.model,
            request: Request::new(Purpose::Forward, messages).with_sampling(sampling),
            stream: self.stream.unwrap_or_default(),
            include_usage: self.stream_options.unwrap_or_default().include_usage,
        })
    }
}
