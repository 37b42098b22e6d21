//! Requests in the wire format.

use serde_json::{Map, Value, json};
use textgrad_core::{EngineError, ErrorKind, Message, Part, Request};

use crate::engine::wire::{check, numbers};

/// The name under which the longest answer is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxTokensField {
    /// `max_tokens`: what vLLM, SGLang, llama.cpp and Ollama know.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: what OpenAI's reasoning models insist on.
    MaxCompletionTokens,
}

impl MaxTokensField {
    fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// The name under which the seed is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedField {
    /// `seed`: what OpenAI and most others know.
    #[default]
    Seed,
    /// `random_seed`: what Mistral knows.
    RandomSeed,
    /// None: the seed is not sent, for servers that refuse it or have no use for it.
    Unsent,
}

impl SeedField {
    fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Seed => Some("seed"),
            Self::RandomSeed => Some("random_seed"),
            Self::Unsent => None,
        }
    }
}

/// The settings of an engine that shape a body.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) model: String,
    pub(super) max_tokens_field: MaxTokensField,
    pub(super) seed_field: SeedField,
    pub(super) sends_n: bool,
    pub(super) json_schema: bool,
    pub(super) stream: bool,
    pub(super) stream_usage: bool,
}

impl Shape {
    pub(super) fn new(model: String) -> Self {
        Self {
            model,
            max_tokens_field: MaxTokensField::default(),
            seed_field: SeedField::default(),
            sends_n: true,
            json_schema: true,
            stream: false,
            stream_usage: true,
        }
    }
}

/// Fields of the body that have a setting of their own, and the setting.
const OWN: [(&str, &str); 17] = [
    ("model", "OpenAi::builder"),
    ("messages", "Request::messages"),
    ("n", "Sampling::n"),
    ("temperature", "Sampling::temperature"),
    ("top_p", "Sampling::top_p"),
    ("max_tokens", "Sampling::max_tokens"),
    ("max_completion_tokens", "Sampling::max_tokens and OpenAiBuilder::max_tokens_field"),
    ("seed", "Sampling::seed"),
    ("random_seed", "Sampling::seed and OpenAiBuilder::seed_field"),
    ("stop", "Sampling::stop"),
    ("frequency_penalty", "Sampling::frequency_penalty"),
    ("presence_penalty", "Sampling::presence_penalty"),
    ("logprobs", "Sampling::top_logprobs"),
    ("top_logprobs", "Sampling::top_logprobs"),
    ("stream", "OpenAiBuilder::stream"),
    ("stream_options", "OpenAiBuilder::stream"),
    ("response_format", "Request::format"),
];

/// The body of a request. Fields that are not set are not sent, `n` only where it is not 1.
pub(super) fn body(shape: &Shape, request: &Request) -> Result<Value, EngineError> {
    let sampling = &request.sampling;
    check(sampling, &OWN)?;
    let mut body = Map::new();
    body.insert("model".into(), shape.model.as_str().into());
    body.insert("messages".into(), request.messages.iter().map(message).collect());
    for (name, number) in numbers(sampling) {
        if let Some(number) = number {
            body.insert(name.into(), number.into());
        }
    }
    if sampling.n != 1 && shape.sends_n {
        body.insert("n".into(), sampling.n.into());
    }
    if let Some(tokens) = sampling.max_tokens {
        body.insert(shape.max_tokens_field.as_str().into(), tokens.into());
    }
    if let (Some(seed), Some(field)) = (sampling.seed, shape.seed_field.as_str()) {
        body.insert(field.into(), seed.into());
    }
    if !sampling.stop.is_empty() {
        body.insert("stop".into(), json!(sampling.stop));
    }
    if let Some(top) = sampling.top_logprobs {
        body.insert("logprobs".into(), true.into());
        body.insert("top_logprobs".into(), top.into());
    }
    if shape.stream {
        body.insert("stream".into(), true.into());
        if shape.stream_usage {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
    }
    if let Some(format) = &request.format {
        if !shape.json_schema {
            return Err(EngineError::new(
                ErrorKind::Unsupported,
                "this server cannot hold its answers to a JSON schema; ask without a format, or use \
                 another engine",
            ));
        }
        body.insert(
            "response_format".into(),
            json!({"type": "json_schema", "json_schema": {
                "name": format.name(), "strict": format.is_strict(), "schema": format.schema(),
            }}),
        );
    }
    body.extend(sampling.extra.clone());
    Ok(Value::Object(body))
}

/// One turn: a plain string where it is one text, else a list of parts.
fn message(message: &Message) -> Value {
    let content = match message.parts.as_slice() {
        [] => Value::from(""),
        [Part::Text(text)] => Value::from(text.as_str()),
        parts => parts.iter().map(part).collect(),
    };
    json!({"role": message.role, "content": content})
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(image) => {
            json!({"type": "image_url", "image_url": {"url": image.to_data_url()}})
        }
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::{Format, Image, MessageRole, Purpose, Sampling};

    use super::*;

    fn shape() -> Shape {
        Shape::new("m".into())
    }

    #[test]
    fn only_what_is_set_is_sent() {
        let request =
            Request::new(Purpose::Forward, [Message::system("be brief"), Message::user("hi {x}")]);
        assert_eq!(
            body(&shape(), &request).unwrap(),
            json!({"model": "m", "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hi {x}"},
            ]})
        );
    }

    #[test]
    fn all_of_the_sampling_is_sent() {
        let sampling = Sampling {
            n: 5,
            temperature: Some(0.7),
            top_p: Some(0.95),
            max_tokens: Some(9),
            seed: Some(u64::MAX),
            stop: vec!["a".into(), "b".into(), "c".into(), "d".into(), "e".into()],
            frequency_penalty: Some(0.5),
            presence_penalty: Some(-0.5),
            top_logprobs: None,
            extra: json!({"top_k": 40, "min_p": 0.1}).as_object().unwrap().clone(),
        };
        let request = Request::new(Purpose::Forward, []).with_sampling(sampling);
        let shape = Shape {
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            stream: true,
            ..shape()
        };
        assert_eq!(
            body(&shape, &request).unwrap(),
            json!({
                "model": "m", "messages": [], "n": 5, "temperature": 0.7, "top_p": 0.95,
                "max_completion_tokens": 9, "seed": u64::MAX, "stop": ["a", "b", "c", "d", "e"],
                "frequency_penalty": 0.5, "presence_penalty": -0.5, "top_k": 40, "min_p": 0.1,
                "stream": true, "stream_options": {"include_usage": true},
            })
        );
    }

    #[test]
    fn what_a_server_does_not_know_is_not_sent() {
        let sampling = Sampling::default().with_n(3).with_seed(7);
        let request = Request::new(Purpose::Forward, []).with_sampling(sampling);
        let picky = Shape {
            sends_n: false,
            seed_field: SeedField::Unsent,
            stream: true,
            stream_usage: false,
            ..shape()
        };
        assert_eq!(
            body(&picky, &request).unwrap(),
            json!({"model": "m", "messages": [], "stream": true})
        );
        let renamed = Shape { seed_field: SeedField::RandomSeed, ..shape() };
        assert_eq!(
            body(&renamed, &request).unwrap(),
            json!({"model": "m", "messages": [], "n": 3, "random_seed": 7})
        );
    }

    #[test]
    fn a_format_is_sent_or_refused() {
        let schema = json!({"type": "object", "properties": {}});
        let format = Format::json_schema("verdict", schema.clone()).unwrap();
        let request = Request::new(Purpose::Judge, []).with_format(format);
        assert_eq!(
            body(&shape(), &request).unwrap()["response_format"],
            json!({"type": "json_schema", "json_schema": {"name": "verdict", "strict": true, "schema": schema}})
        );
        let error = body(&Shape { json_schema: false, ..shape() }, &request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn images_are_parts_with_data_urls() {
        let image = Image::new(vec![1, 2, 3], "image/png").unwrap();
        let turn =
            Message::new(MessageRole::User, [Part::Text("what?".into()), Part::Image(image)]);
        let two = Message::new(MessageRole::User, [Part::Text("a".into()), Part::Text("b".into())]);
        let none = Message::new(MessageRole::Assistant, []);
        let request = Request::new(Purpose::Forward, [turn, two, none]);
        assert_eq!(
            body(&shape(), &request).unwrap()["messages"],
            json!([
                {"role": "user", "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQID"}},
                ]},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": ""},
            ])
        );
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let refused = |sampling: Sampling| {
            let request = Request::new(Purpose::Forward, []).with_sampling(sampling);
            let error = body(&shape(), &request).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            error.to_string()
        };
        assert!(refused(Sampling::default().with_n(0)).contains("n = 0"));
        assert!(refused(Sampling::default().with_temperature(f64::NAN)).contains("temperature"));
        for (name, setting) in OWN {
            let mut sampling = Sampling::default();
            sampling.extra.insert(name.into(), 1.into());
            let message = refused(sampling);
            assert!(message.contains(name) && message.contains(setting), "{message}");
        }
    }
}
