//! Requests in the wire format.

use serde_json::{Map, Value, json};
use textgrad_core::{EngineError, ErrorKind, MessageRole, Part, Request, Sampling};

use super::Controls;
use crate::engine::wire::{Conversation, Turn, check, without_logprobs};

/// The settings of an engine that shape a body.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) model: String,
    pub(super) default_max_tokens: u32,
    pub(super) stream: bool,
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

/// The body of a request.
pub(super) fn body(
    shape: &Shape,
    request: &Request,
    controls: Controls,
) -> Result<Value, EngineError> {
    let sampling = &request.sampling;
    check(sampling, &OWN)?;
    without_logprobs(sampling)?;
    check_own(sampling)?;
    let Conversation { system, turns } =
        Conversation::new(&request.messages, |text| !text.trim().is_empty())?;
    let mut body = Map::new();
    body.insert("model".into(), shape.model.as_str().into());
    let longest = sampling.max_tokens.unwrap_or(shape.default_max_tokens);
    body.insert("max_tokens".into(), longest.into());
    if let Some(system) = system {
        body.insert("system".into(), system.into());
    }
    body.insert("messages".into(), messages(&turns));
    let (temperature, top_p) = controls.of(sampling);
    for (name, number) in [("temperature", temperature), ("top_p", top_p)] {
        if let Some(number) = number {
            body.insert(name.into(), number.into());
        }
    }
    if !sampling.stop.is_empty() {
        body.insert("stop_sequences".into(), json!(sampling.stop));
    }
    if shape.stream {
        body.insert("stream".into(), true.into());
    }
    body.extend(sampling.extra.clone());
    if let Some(format) = &request.format {
        // Extra fields may bring settings beside the format, such as the effort.
        let config = body.entry("output_config").or_insert_with(|| json!({}));
        let Value::Object(config) = config else {
            return Err(wrong("expected the extra field `output_config` to be an object".into()));
        };
        let schema = json!({"type": "json_schema", "schema": format.schema()});
        if config.insert("format".into(), schema).is_some() {
            return Err(wrong(
                "expected no extra field `output_config.format`: it has a setting of its own, \
                 Request::format"
                    .into(),
            ));
        }
    }
    Ok(Value::Object(body))
}

fn wrong(message: String) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

fn check_own(sampling: &Sampling) -> Result<(), EngineError> {
    if let Some(temperature) = sampling.temperature
        && !(0.0..=1.0).contains(&temperature)
    {
        return Err(wrong(format!(
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
