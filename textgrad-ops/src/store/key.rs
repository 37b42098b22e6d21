//! A stable name for what a request asks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use textgrad_core::{Message, Part, Request, Seed};

use crate::util::{hex, unhex};

/// Goes into every key: a change of what is hashed, or how, needs a new one.
const VERSION: &str = "textgrad-request-key/3";

/// A name for what a request asks of an engine: equal for equal requests, on every machine and in every
/// version of this library that writes the same version of the key.
///
/// Made by [`request_key`]; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey([u8; 32]);

impl RequestKey {
    /// The key of a part of what this one names.
    pub(super) fn derived(self, part: &str) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(part).finalize().into())
    }

    /// A seed of the request's own, for what must be spread evenly over requests yet repeat with them.
    #[must_use]
    pub fn seed(self) -> Seed {
        Seed::new(self.0.iter().take(8).rev().fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
    }
}

/// The key of a request to an engine: SHA-256 over everything that may change the answer.
///
/// That is the engine, by its [name](textgrad_core::Engine::name) for journals and recordings and by its
/// [identity](textgrad_core::Engine::identity) for caches, the messages with their images, the whole sampling,
/// and the format if there is one. The purpose is left
/// out: engines may not answer by it, so the same question for another purpose has the same answer.
///
/// Each text and number of items is preceded by its length, eight bytes with the lowest first; images, sampling and
/// format are JSON with sorted names.
///
/// # Examples
/// ```
/// use textgrad_core::{Format, Message, Purpose, Request};
/// use textgrad_ops::store::request_key;
///
/// let sample = Request::new(Purpose::Sample, [Message::user("hello")]);
/// let judge = Request::new(Purpose::Judge, [Message::user("hello")]);
/// assert_eq!(request_key("m", &sample), request_key("m", &judge));
/// assert_ne!(request_key("m", &sample), request_key("other", &sample));
/// ```
#[must_use]
pub fn request_key(engine: &str, request: &Request) -> RequestKey {
    // Taken apart by name, so that a field that is added to a request cannot be forgotten here.
    let Request { messages, sampling, purpose: _, format, prediction: _ } = request;
    let mut hash = Fields(Sha256::new());
    hash.text(VERSION).text(engine).count(messages.len());
    for Message { role, parts } in messages {
        hash.json(json!(role)).count(parts.len());
        for part in parts {
            match part {
                Part::Text(text) => hash.text("text").text(text),
                Part::Image(image) => hash.text("image").json(json!(image)),
            };
        }
    }
    hash.json(json!(sampling)).json(json!(format));
    RequestKey(hash.0.finalize().into())
}

/// A hash over fields that cannot run into each other.
struct Fields(Sha256);

impl Fields {
    fn count(&mut self, count: usize) -> &mut Self {
        self.0.update((count as u64).to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.count(text.len()).0.update(text);
        self
    }

    fn json(&mut self, mut value: Value) -> &mut Self {
        // Objects are sorted already, unless another crate asks for the order of insertion.
        value.sort_all_objects();
        self.text(&value.to_string())
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestKey({self})")
    }
}

/// A text that is no request key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a request key of 64 hexadecimal digits, got {0:?}")]
pub struct ParseRequestKeyError(String);

impl FromStr for RequestKey {
    type Err = ParseRequestKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseRequestKeyError(textgrad_core::truncate(text, 80));
        unhex(text).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for RequestKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use textgrad_core::{Format, Image, JsonSchema, MessageRole, Purpose, Sampling};

    use super::*;

    fn request() -> Request {
        let image = Image::new(vec![1, 2, 3], "image/png").unwrap();
        let user =
            Message::new(MessageRole::User, [Part::Text("h\u{e9}".into()), Part::Image(image)]);
        let mut sampling = Sampling::default().with_n(3).with_seed(7).with_temperature(0.5);
        sampling.stop = vec!["END".into()];
        sampling.extra.insert("top_k".into(), json!({"b": [1, null, true], "a": "x"}));
        Request::new(Purpose::Sample, [Message::system("s"), user]).with_sampling(sampling)
    }

    #[test]
    fn a_key_never_changes() {
        // Journals and recordings hold keys. The figure was computed by a separate implementation in
        // Python; a change of the encoding needs a new version.
        assert_eq!(
            request_key("engine", &request()).to_string(),
            "de69664607008e6ae82149bf92c1f4d14f156abfb3cc9f58c53d24d93fa485f8"
        );
    }

    #[test]
    fn everything_but_the_purpose_counts() {
        let changes: Vec<fn(&mut Request)> = vec![
            |r| r.messages[0] = Message::user("s"),
            |r| r.messages[0] = Message::system("t"),
            |r| r.messages.truncate(1),
            |r| r.messages[1].parts.truncate(1),
            |r| {
                r.messages[1].parts[1] =
                    Part::Image(Image::new(vec![1, 2, 4], "image/png").unwrap())
            },
            |r| {
                r.messages[1].parts[1] =
                    Part::Image(Image::new(vec![1, 2, 3], "image/gif").unwrap())
            },
            |r| r.sampling.n = 4,
            |r| r.sampling.temperature = None,
            |r| r.sampling.top_p = Some(0.5),
            |r| r.sampling.max_tokens = Some(5),
            |r| r.sampling.seed = Some(8),
            |r| r.sampling.stop = vec![],
            |r| r.sampling.frequency_penalty = Some(0.5),
            |r| r.sampling.presence_penalty = Some(0.5),
            |r| r.sampling.top_logprobs = Some(0),
            |r| r.sampling.top_logprobs = Some(5),
            |r| r.sampling.extra = serde_json::Map::new(),
            |r| {
                r.sampling.extra =
                    json!({"top_k": {"b": [1, null, true], "a": "y"}}).as_object().unwrap().clone()
            },
        ];
        let format = |name: &str, schema| Format::json_schema(name, schema).unwrap();
        let formats = [
            format("x", json!({})),
            format("y", json!({})),
            format("x", json!({"type": "object"})),
            Format::JsonSchema(JsonSchema::new("x", json!({})).unwrap().with_strict(false)),
            Format::grammar("root ::= [a-z]+"),
        ];
        let mut keys = vec![request_key("engine", &request()), request_key("e", &request())];
        keys.extend(formats.map(|format| request_key("engine", &request().with_format(format))));
        for change in changes {
            let mut request = request();
            change(&mut request);
            keys.push(request_key("engine", &request));
        }
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);

        let mut other = request();
        other.purpose = Purpose::Judge;
        assert_eq!(request_key("engine", &other), request_key("engine", &request()));
    }

    #[test]
    fn the_order_of_extra_fields_does_not_matter() {
        let mut other = request();
        other.sampling.extra =
            serde_json::from_str(r#"{"top_k": {"a": "x", "b": [1, null, true]}}"#).unwrap();
        assert_eq!(request_key("engine", &other), request_key("engine", &request()));
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let two =
            |a: &str, b: &str| Request::new(Purpose::Sample, [Message::user(a), Message::user(b)]);
        assert_ne!(request_key("m", &two("ab", "c")), request_key("m", &two("a", "bc")));
        let one = Request::new(Purpose::Sample, [Message::user("x")]);
        assert_ne!(request_key("mx", &one), request_key("m", &one));
    }

    #[test]
    fn a_key_survives_text_and_json() {
        let key = request_key("engine", &request());
        assert_eq!(key.to_string().parse(), Ok(key));
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<RequestKey>(&json).unwrap(), key);
        for text in ["", "abc", &"g".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<RequestKey>().is_err(), "{text}");
        }
    }
}
