//! What is sent.

use serde_json::{Map, Value, json};
use textgrad_core::{EngineError, ErrorKind, Message, Part, Request, Sampling};

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

/// The settings of an engine that shape a body.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) model: String,
    pub(super) max_tokens_field: MaxTokensField,
    pub(super) stream: bool,
}

/// Fields of the body that have a setting of their own, and the setting.
const OWN: [(&str, &str); 13] = [
    ("model", "OpenAi::builder"),
    ("messages", "Request::messages"),
    ("n", "Sampling::n"),
    ("temperature", "Sampling::temperature"),
    ("top_p", "Sampling::top_p"),
    ("max_tokens", "Sampling::max_tokens"),
    ("max_completion_tokens", "Sampling::max_tokens and OpenAiBuilder::max_tokens_field"),
    ("seed", "Sampling::seed"),
    ("stop", "Sampling::stop"),
    ("frequency_penalty", "Sampling::frequency_penalty"),
    ("presence_penalty", "Sampling::presence_penalty"),
    ("stream", "OpenAiBuilder::stream"),
    ("stream_options", "OpenAiBuilder::stream"),
];

/// The body of a request. Fields that are not set are not sent, `n` only where it is not 1.
pub(super) fn body(shape: &Shape, request: &Request) -> Result<Value, EngineError> {
    let sampling = &request.sampling;
    check(sampling)?;
    let mut body = Map::new();
    body.insert("model".into(), shape.model.as_str().into());
    body.insert("messages".into(), request.messages.iter().map(message).collect());
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            body.insert(name.into(), number.into());
        }
    }
    if sampling.n != 1 {
        body.insert("n".into(), sampling.n.into());
    }
    if let Some(tokens) = sampling.max_tokens {
        body.insert(shape.max_tokens_field.as_str().into(), tokens.into());
    }
    if let Some(seed) = sampling.seed {
        body.insert("seed".into(), seed.into());
    }
    if !sampling.stop.is_empty() {
        body.insert("stop".into(), json!(sampling.stop));
    }
    if shape.stream {
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    body.extend(sampling.extra.clone());
    Ok(Value::Object(body))
}

fn check(sampling: &Sampling) -> Result<(), EngineError> {
    let wrong = |message: String| Err(EngineError::new(ErrorKind::InvalidRequest, message));
    if sampling.n == 0 {
        return wrong("expected at least 1 answer to be asked for, got n = 0".into());
    }
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    for (name, number) in numbers {
        if number.is_some_and(|number| !number.is_finite()) {
            return wrong(format!("expected {name} to be a finite number, got {number:?}"));
        }
    }
    match OWN.iter().find(|(name, _)| sampling.extra.contains_key(*name)) {
        Some((name, setting)) => wrong(format!(
            "expected no extra field `{name}`: it has a setting of its own, {setting}"
        )),
        None => Ok(()),
    }
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
    use textgrad_core::{Image, MessageRole, Purpose};

    use super::*;

    fn shape() -> Shape {
        Shape { model: "m".into(), max_tokens_field: MaxTokensField::default(), stream: false }
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
