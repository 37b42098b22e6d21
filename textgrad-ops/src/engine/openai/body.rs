//! Requests in the wire format.

use derive_setters::Setters;
use serde_json::{Map, Value, json};
use textgrad_core::{EngineError, Format, Message, Part, Request};

use super::{OpenAi, OpenAiBuilder};
use crate::engine::unsupported;
use crate::engine::wire::{check, json_schema, refuse_own, set, stop};

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

/// Where a grammar in GBNF is sent: a [`Format::Grammar`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrammarField {
    /// Nowhere: such a format is refused, for servers that do not know grammars, or of which that is not known. Some
    /// would ignore the field.
    #[default]
    Unsent,
    /// `grammar`: what llama.cpp knows.
    Grammar,
    /// `structured_outputs`: what vLLM knows from 0.11 on.
    StructuredOutputs,
    /// `ebnf`: what SGLang knows.
    Ebnf,
    /// `response_format` of type `grammar`: what Fireworks knows.
    ResponseFormat,
}

impl GrammarField {
    /// The field and its value.
    fn of(self, grammar: &str) -> Option<(&'static str, Value)> {
        Some(match self {
            Self::Unsent => return None,
            Self::Grammar => ("grammar", grammar.into()),
            Self::StructuredOutputs => ("structured_outputs", json!({"grammar": grammar})),
            Self::Ebnf => ("ebnf", grammar.into()),
            Self::ResponseFormat => {
                ("response_format", json!({"type": "grammar", "grammar": grammar}))
            }
        })
    }
}

/// Departures of a server from OpenAI's chat completions.
#[derive(Debug, Clone, Default, Setters)]
#[setters(generate_delegates(ty = "OpenAiBuilder", field = "shape"))]
pub(super) struct Shape {
    /// The name under which [`Sampling::max_tokens`](textgrad_core::Sampling::max_tokens) is sent.
    /// Default: `max_tokens`.
    max_tokens_field: MaxTokensField,
    /// The name under which [`Sampling::seed`](textgrad_core::Sampling::seed) is sent. Default: `seed`.
    seed_field: SeedField,
    /// The field of a [grammar](Format::Grammar). Default: none, and grammars are refused.
    grammar_field: GrammarField,
    /// Requests one choice whatever [`Sampling::n`](textgrad_core::Sampling::n) is, for servers that refuse
    /// `n`. [`EngineExt::complete_choices`](crate::layer::EngineExt::complete_choices) asks for the others.
    #[setters(bool)]
    pub(super) single_answers: bool,
    /// Refuses a [`Request::format`](textgrad_core::Request::format), for servers that do not know
    /// `response_format` with a JSON schema: some of them would ignore it.
    #[setters(bool)]
    no_json_schema: bool,
    /// Does not ask for the usage of a stream, for servers that refuse `stream_options`.
    #[setters(bool)]
    no_stream_options: bool,
    /// Sends [`Request::prediction`](textgrad_core::Request::prediction) as predicted output with requests for one
    /// answer, for models that know it. OpenAI bills predicted tokens that were not used.
    #[setters(bool)]
    predicted_outputs: bool,
}

/// Fields of the body that have a setting of their own, and the setting.
const OWN: [(&str, &str); 18] = [
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
    ("prediction", "Request::prediction"),
];

impl OpenAi {
    /// The body of a request. Fields that are not set are not sent, `n` only where it is not 1.
    pub(super) fn body(&self, request: &Request) -> Result<Map<String, Value>, EngineError> {
        let (sampling, shape) = (&request.sampling, &self.shape);
        check(sampling)?;
        refuse_own(&sampling.extra, "", &OWN)?;
        let mut body = Map::new();
        body.insert("model".into(), self.model.id.as_str().into());
        body.insert("messages".into(), request.messages.iter().map(message).collect());
        set(&mut body, "temperature", sampling.temperature);
        set(&mut body, "top_p", sampling.top_p);
        set(&mut body, "frequency_penalty", sampling.frequency_penalty);
        set(&mut body, "presence_penalty", sampling.presence_penalty);
        let n = Some(sampling.n).filter(|n| *n != 1 && !shape.single_answers);
        set(&mut body, "n", n);
        set(&mut body, shape.max_tokens_field.as_str(), sampling.max_tokens);
        if let Some(field) = shape.seed_field.as_str() {
            set(&mut body, field, sampling.seed);
        }
        set(&mut body, "stop", stop(sampling));
        set(&mut body, "logprobs", sampling.top_logprobs.map(|_| true));
        set(&mut body, "top_logprobs", sampling.top_logprobs);
        // Some gateways stream where the field is left out.
        body.insert("stream".into(), self.model.stream.into());
        if self.model.stream && !shape.no_stream_options {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        if let Some(Format::Grammar { grammar, .. }) = &request.format
            && let Some((field, value)) = shape.grammar_field.of(grammar)
        {
            body.insert(field.into(), value);
        } else if let Some(schema) = json_schema(request)? {
            if shape.no_json_schema {
                return Err(unsupported(
                    "this server cannot hold its answers to a JSON schema; ask without a format, or use \
                     another engine",
                ));
            }
            let schema = json!({"type": "json_schema", "json_schema": {
                "name": schema.name(), "strict": schema.is_strict(), "schema": schema.schema(),
            }});
            body.insert("response_format".into(), schema);
        }
        let prediction = request.prediction.as_deref();
        if let Some(text) = prediction.filter(|_| shape.predicted_outputs && n.is_none()) {
            body.insert("prediction".into(), json!({"type": "content", "content": text}));
        }
        body.extend(sampling.extra.clone());
        Ok(body)
    }
}

/// One turn: a plain string where it is one text, else a list of parts.
fn message(message: &Message) -> Value {
    let content = match message.parts.as_slice() {
        [] => Value::from(""),
        [Part::Text(text)] => Value::from(&**text),
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
    use std::sync::Arc;

    use textgrad_core::{ErrorKind, Image, MessageRole, Purpose, Sampling};

    use super::*;

    fn engine() -> OpenAiBuilder {
        OpenAi::builder("http://h/v1", "m")
    }

    fn body(engine: OpenAiBuilder, request: &Request) -> Result<Value, EngineError> {
        engine.build().unwrap().body(request).map(Value::Object)
    }

    #[test]
    fn only_what_is_set_is_sent() {
        let request =
            Request::new(Purpose::Forward, [Message::system("be brief"), Message::user("hi {x}")]);
        assert_eq!(
            body(engine(), &request).unwrap(),
            json!({"model": "m", "stream": false, "messages": [
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
        let engine = engine().max_tokens_field(MaxTokensField::MaxCompletionTokens).stream(true);
        assert_eq!(
            body(engine, &request).unwrap(),
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
        let picky = engine()
            .single_answers()
            .seed_field(SeedField::Unsent)
            .stream(true)
            .no_stream_options();
        assert_eq!(
            body(picky, &request).unwrap(),
            json!({"model": "m", "messages": [], "stream": true})
        );
        let renamed = engine().seed_field(SeedField::RandomSeed);
        assert_eq!(
            body(renamed, &request).unwrap(),
            json!({"model": "m", "messages": [], "n": 3, "random_seed": 7, "stream": false})
        );
    }

    #[test]
    fn a_prediction_is_sent_with_one_answer_where_it_is_known() {
        let request = Request::new(Purpose::Update, []).with_prediction(Arc::from("old"));
        let known = || engine().predicted_outputs();
        let prediction = json!({"type": "content", "content": "old"});
        assert_eq!(body(known(), &request).unwrap()["prediction"], prediction);
        assert!(body(engine(), &request).unwrap().get("prediction").is_none());
        let several = request.with_sampling(Sampling::default().with_n(2));
        assert!(body(known(), &several).unwrap().get("prediction").is_none());
    }

    #[test]
    fn a_format_is_sent_or_refused() {
        let schema = json!({"type": "object", "properties": {}});
        let format = Format::json_schema("verdict", schema.clone()).unwrap();
        let request = Request::new(Purpose::Judge, []).with_format(format);
        assert_eq!(
            body(engine(), &request).unwrap()["response_format"],
            json!({"type": "json_schema", "json_schema": {"name": "verdict", "strict": true, "schema": schema}})
        );
        let error = body(engine().no_json_schema(), &request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_grammar_is_sent_where_the_server_takes_it_or_refused() {
        let text = r#"root ::= "A" | "B""#;
        let request = Request::new(Purpose::Judge, []).with_format(Format::grammar(text));
        for (field, expected) in [
            (GrammarField::Grammar, json!({"grammar": text})),
            (GrammarField::StructuredOutputs, json!({"structured_outputs": {"grammar": text}})),
            (GrammarField::Ebnf, json!({"ebnf": text})),
            (
                GrammarField::ResponseFormat,
                json!({"response_format": {"type": "grammar", "grammar": text}}),
            ),
        ] {
            let mut sent = body(engine().grammar_field(field), &request).unwrap();
            for name in ["model", "messages", "stream"] {
                sent.as_object_mut().unwrap().remove(name);
            }
            assert_eq!(sent, expected);
        }
        let error = body(engine(), &request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("by its preset"), "{error}");
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
            body(engine(), &request).unwrap()["messages"],
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
            let error = body(engine(), &request).unwrap_err();
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
