//! Requests of chat completions.

use serde_json::{Map, Value as Json};
use textgrad_core::{Message, MessageRole, Part, Sampling};
use textgrad_ops::util::json::type_name;

use super::error::ApiError;
use super::json::{field, syntax};
use super::message::{Turn, message};
use super::options::SearchOptions;
use crate::query::Query;

/// The most choices of one answer.
const MAX_CHOICES: u64 = 128;

/// Fields, of any API, that only the policy itself can serve.
const DIRECT: [&str; 15] = [
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "modalities",
    "audio",
    "prediction",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
];

/// Fields, of any API, that are about the client and its account, and change no answer of a search.
const IGNORED: [&str; 13] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
    "verbosity",
    "moderation",
    "include",
    "truncation",
    "max_tool_calls",
];

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    /// The number of answers, best first.
    pub(crate) n: usize,
    /// Fields of the server behind this one, such as `top_k`, are extra. What is not set is that of the server.
    pub(crate) sampling: Sampling,
    pub(crate) options: SearchOptions,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// What only the policy itself can serve.
    pub(crate) direct: Vec<String>,
}

impl Ask {
    /// The sampling of answers, with what the request sets; the seed stays.
    pub(crate) fn sampling(&self, base: &Sampling) -> Sampling {
        let (own, mut sampling) = (&self.sampling, base.clone());
        sampling.temperature = own.temperature.or(sampling.temperature);
        sampling.top_p = own.top_p.or(sampling.top_p);
        sampling.max_tokens = own.max_tokens.or(sampling.max_tokens);
        sampling.frequency_penalty = own.frequency_penalty.or(sampling.frequency_penalty);
        sampling.presence_penalty = own.presence_penalty.or(sampling.presence_penalty);
        for stop in &own.stop {
            if !sampling.stop.contains(stop) {
                sampling.stop.push(stop.clone());
            }
        }
        sampling.extra.extend(own.extra.clone());
        sampling
    }

    /// Reads the body of a chat completion.
    pub(crate) fn chat(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = object(body)?;
        let n = whole(&mut fields, "n", MAX_CHOICES)?;
        let messages = fields.remove("messages");
        let limits = ["max_completion_tokens", "max_tokens"];
        let mut ask = Self::common(fields, &limits)?;
        ask.n = n.and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        match messages {
            Some(Json::Array(messages)) => ask.turns(&messages, "messages")?,
            Some(other) => {
                return Err(expected("messages", &format!("a list, got {}", type_name(&other))));
            }
            None => return Err(expected("messages", "a list")),
        }
        Ok(ask)
    }

    /// Reads what requests of all APIs have; the rest is for the server behind this one. Of the bounds on tokens, the
    /// first one that is there wins.
    pub(crate) fn common(mut fields: Map<String, Json>, limits: &[&str]) -> Result<Self, ApiError> {
        let fields = &mut fields;
        let mut ask = Self { n: 1, ..Self::default() };
        ask.model = match fields.remove("model") {
            Some(Json::String(model)) => model,
            _ => return Err(expected("model", "the name of a model; GET /v1/models lists them")),
        };
        ask.stream = match fields.remove("stream") {
            None => false,
            Some(Json::Bool(stream)) => stream,
            Some(_) => return Err(expected("stream", "true or false")),
        };
        ask.include_usage = fields
            .remove("stream_options")
            .is_some_and(|options| *field(&options, "include_usage") == Json::Bool(true));
        if let Some(options) = fields.remove("tpo") {
            ask.options = SearchOptions::read(&options, "tpo")?;
        }
        let sampling = &mut ask.sampling;
        sampling.temperature = number(fields, "temperature", 0.0, 2.0)?;
        sampling.top_p = number(fields, "top_p", 0.0, 1.0)?.filter(|p| *p > 0.0);
        sampling.frequency_penalty = number(fields, "frequency_penalty", -2.0, 2.0)?;
        sampling.presence_penalty = number(fields, "presence_penalty", -2.0, 2.0)?;
        for name in limits {
            let tokens = whole(fields, name, u32::MAX.into())?;
            let tokens = tokens.and_then(|tokens| u32::try_from(tokens).ok());
            sampling.max_tokens = sampling.max_tokens.or(tokens);
        }
        sampling.stop = match fields.remove("stop") {
            None => Vec::new(),
            Some(Json::String(stop)) => vec![stop],
            Some(stops) => serde_json::from_value(stops)
                .map_err(|_| expected("stop", "a text or a list of texts"))?,
        };
        sampling.seed = fields
            .remove("seed")
            .map(|seed| {
                seed.as_u64()
                    .or_else(|| seed.as_i64().map(i64::cast_unsigned))
                    .ok_or_else(|| expected("seed", "a whole number"))
            })
            .transpose()?;
        for name in DIRECT {
            if fields.remove(name).is_some_and(|value| needs_policy(name, &value)) {
                ask.direct.push(name.to_owned());
            }
        }
        for name in IGNORED {
            fields.remove(name);
        }
        sampling.extra = std::mem::take(fields);
        Ok(ask)
    }

    /// Adds messages, or names what only the policy can read of them.
    pub(crate) fn turns(&mut self, messages: &[Json], param: &str) -> Result<(), ApiError> {
        for (position, one) in messages.iter().enumerate() {
            match message(one, &format!("{param}[{position}]"))? {
                Some(Turn::Message(message)) => self.messages.push(message),
                Some(Turn::Direct(what)) => self.direct.push(what),
                None => {}
            }
        }
        Ok(())
    }

    /// The query of a search, in which an image is a text in its place.
    pub(crate) fn query(&self) -> Result<Query, ApiError> {
        let text = |message: &Message| {
            let mut text = message.text();
            let images = message.parts.iter().filter(|part| matches!(part, Part::Image(_)));
            for _ in images {
                text.push_str(if text.is_empty() { "[image]" } else { "\n[image]" });
            }
            text
        };
        let mut messages: Vec<Message> = Vec::new();
        for message in &self.messages {
            match messages.last_mut() {
                // Clients split what they tell the model into several messages.
                Some(last) if last.role == MessageRole::System && message.role == last.role => {
                    *last = Message::system(format!("{}\n\n{}", last.text(), text(message)));
                }
                _ => messages.push(Message::new(message.role, [Part::Text(text(message).into())])),
            }
        }
        Query::conversation(messages)
            .map_err(|error| ApiError::invalid("messages", error.to_string()))
    }

    /// Whether any message has an image.
    pub(crate) fn has_image(&self) -> bool {
        self.messages.iter().any(Message::has_image)
    }
}

/// The fields of a body, those that are null left out.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Json>, ApiError> {
    let json: Json = serde_json::from_slice(body)
        .map_err(|error| ApiError::invalid("", format!("the body: {}", syntax(&error))))?;
    match json {
        Json::Object(fields) => {
            Ok(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
        }
        other => {
            Err(ApiError::invalid("", format!("expected a JSON object, got {}", type_name(&other))))
        }
    }
}

pub(crate) fn expected(param: &str, what: &str) -> ApiError {
    ApiError::invalid(param, format!("{param}: expected {what}"))
}

/// A whole number of at least 1 and at most `most`.
pub(crate) fn whole(
    fields: &mut Map<String, Json>,
    name: &str,
    most: u64,
) -> Result<Option<u64>, ApiError> {
    let Some(value) = fields.remove(name) else { return Ok(None) };
    match value.as_u64() {
        Some(number) if (1..=most).contains(&number) => Ok(Some(number)),
        _ => Err(expected(name, &format!("a whole number from 1 to {most}, got {value}"))),
    }
}

fn number(
    fields: &mut Map<String, Json>,
    name: &str,
    from: f64,
    to: f64,
) -> Result<Option<f64>, ApiError> {
    let Some(value) = fields.remove(name) else { return Ok(None) };
    match value.as_f64() {
        Some(number) if (from..=to).contains(&number) => Ok(Some(number)),
        _ => Err(expected(name, &format!("a number from {from} to {to}, got {value}"))),
    }
}

/// Whether the value of a field asks for anything that a search does not do.
fn needs_policy(name: &str, value: &Json) -> bool {
    match (name, value) {
        (_, Json::Bool(false)) => false,
        (_, Json::Array(items)) if items.is_empty() => false,
        (_, Json::Object(fields)) if fields.is_empty() => false,
        ("modalities", Json::Array(items)) => items.iter().any(|item| item != "text"),
        ("response_format", format) => field(format, "type") != "text",
        ("tool_choice" | "function_call", choice) => choice != "none" && choice != "auto",
        ("top_logprobs", count) => count.as_u64() != Some(0),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(body: &Json) -> Result<Ask, ApiError> {
        Ask::chat(body.to_string().as_bytes())
    }

    fn with(more: Json) -> Json {
        let mut body = json!({"model": "tpo", "messages": [{"role": "user", "content": "why?"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn parameters_are_read_and_change_the_sampling() {
        let ask = ask(&with(json!({
            "n": 3, "temperature": 0.1, "top_p": 0.5, "max_completion_tokens": 9, "max_tokens": 8, "stop": "x",
            "seed": -1, "stream": true, "stream_options": {"include_usage": true}, "top_k": 40, "user": "u",
            "tpo": {"samples": 4}, "logprobs": false, "tools": [], "response_format": {"type": "text"},
            "presence_penalty": null,
        })))
        .unwrap();
        assert_eq!((ask.n, ask.stream, ask.include_usage), (3, true, true));
        assert_eq!(ask.options.samples, Some(4));
        assert!(ask.direct.is_empty(), "{:?}", ask.direct);
        let base = Sampling { stop: vec!["end".to_owned()], ..Sampling::default() };
        let sampling = ask.sampling(&base);
        assert_eq!((sampling.temperature, sampling.top_p), (Some(0.1), Some(0.5)));
        assert_eq!((sampling.max_tokens, sampling.stop), (Some(9), vec!["end".into(), "x".into()]));
        assert_eq!(Json::Object(sampling.extra), json!({"top_k": 40}));
        assert_eq!(ask.sampling.seed, Some(u64::MAX));
    }

    #[test]
    fn conversations_are_queries_with_images_as_texts() {
        let url = "data:image/png;base64,AQID";
        let ask = ask(&with(json!({"messages": [
            {"role": "developer", "content": "a"},
            {"role": "system", "content": "b"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "text", "text": "yes?"}]},
            {"role": "user", "content": [
                {"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}},
            ]},
        ]})))
        .unwrap();
        let query = ask.query().unwrap();
        assert!(ask.has_image());
        assert_eq!(query.system(), Some("a\n\nb"));
        let turns: Vec<&str> = query.turns().map(|(_, text)| text).collect();
        assert_eq!(turns[1..], ["hi", "yes?", "what?\n[image]"]);
    }

    #[test]
    fn empty_turns_of_system_and_assistant_are_left_out() {
        let ask = ask(&with(json!({"messages": [
            {"role": "system", "content": ""},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null},
            {"role": "assistant", "content": " "},
            {"role": "system", "content": []},
            {"role": "user", "content": "why?"},
        ]})))
        .unwrap();
        let query = ask.query().unwrap();
        assert_eq!(query.turns().map(|(_, text)| text).collect::<Vec<_>>(), ["hi", "why?"]);
    }

    #[test]
    fn what_only_the_policy_can_do_is_named() {
        let tool = json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
            {"role": "tool", "content": "4", "tool_call_id": "1"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://h/a.png"}}]},
        ], "tools": [{"type": "function"}], "logprobs": true, "response_format": {"type": "json_object"}});
        let direct = ask(&with(tool)).unwrap().direct;
        assert_eq!(direct[..3], ["tools", "response_format", "logprobs"]);
        assert_eq!(direct[3], "messages[1].tool_calls");
        assert!(direct[4].contains("role tool") && direct[5].contains("an image by its address"));
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_position() {
        for (body, param) in [
            (json!([]), ""),
            (json!({"messages": []}), "model"),
            (json!({"model": "tpo"}), "messages"),
            (with(json!({"n": 0})), "n"),
            (with(json!({"n": 129})), "n"),
            (with(json!({"temperature": 3})), "temperature"),
            (with(json!({"temperature": "hot"})), "temperature"),
            (with(json!({"stop": 7})), "stop"),
            (with(json!({"stream": "yes"})), "stream"),
            (with(json!({"tpo": {"depth": 1}})), "tpo.depth"),
            (with(json!({"messages": [{"role": "king", "content": "x"}]})), "messages[0].role"),
            (with(json!({"messages": [{"role": "user"}]})), "messages[0].content"),
        ] {
            let error = ask(&body).unwrap_err().body();
            assert_eq!(error["error"]["param"].as_str().unwrap_or_default(), param, "{body}");
        }
        for messages in [json!([]), json!([{"role": "assistant", "content": "a"}])] {
            let ask = ask(&with(json!({"messages": messages}))).unwrap();
            assert_eq!(ask.query().unwrap_err().body()["error"]["param"], "messages");
        }
        for (body, words) in [(&b"{"[..], "ends too early"), (b"{x", "line 1, column 2")] {
            let error = Ask::chat(body).unwrap_err();
            assert!(error.message().contains(words), "{}", error.message());
        }
    }
}
