//! Requests and replies of the Messages API.

use serde_json::{Map, Value, json};
use textgrad_core::{EngineError, ErrorKind, MessageRole, Part, Request, Sampling, Usage};

use super::Anthropic;
use crate::engine::invalid;
use crate::engine::wire::{
    Conversation, Dialect, RawChoice, RawReply, Turn, check, json_schema, refuse_own, set, stop,
    take_object, without_logprobs,
};

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
    pub(super) fn body(&self, request: &Request) -> Result<Map<String, Value>, EngineError> {
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
        Some((name, _)) => Err(EngineError::new(
            ErrorKind::Unsupported,
            format!("Anthropic's models take no {name}; leave it out"),
        )),
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
pub(super) enum Messages {}

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
