//! Errors of one exchange, named alike and free of secrets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use textgrad_core::{EngineError, ErrorKind, truncate};

use super::base_url::shown;
use super::server_error::{ServerError, advice};

/// The longest text of a server that a message repeats, in characters.
const LONGEST_QUOTE: usize = 300;

/// Makes the errors of one exchange: each names method, host and path, and none names a secret.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    target: String,
    redactor: Arc<Redactor>,
}

impl Report {
    pub(super) fn new(method: &Method, url: &Url, redactor: Arc<Redactor>) -> Self {
        Self { target: format!("{method} {}", shown(url)), redactor }
    }

    /// An error of this exchange in the caller's words.
    pub(crate) fn error(&self, kind: ErrorKind, what: impl AsRef<str>) -> EngineError {
        EngineError::new(kind, format!("{}: {}", self.target, what.as_ref()))
    }

    /// An error that was made without knowledge of the exchange, as one of it.
    pub(crate) fn locate(&self, error: EngineError) -> EngineError {
        let message = format!("{}: {}", self.target, error.message());
        error.with_message(message)
    }

    /// The beginning of a body, fit for a message.
    pub(crate) fn quote(&self, body: &[u8]) -> String {
        self.redactor.truncate(body, LONGEST_QUOTE)
    }

    /// A request that got no reply, or only a part of one.
    pub(super) fn transport(&self, error: reqwest::Error, timeout: Duration) -> EngineError {
        let error = error.without_url();
        let (kind, what) = if error.is_connect() {
            (
                ErrorKind::Connection,
                "could not connect; check that the server runs and the address is right".to_owned(),
            )
        } else if error.is_timeout() {
            (ErrorKind::Timeout, format!("no whole reply within {timeout:?}"))
        } else if error.is_builder() {
            (ErrorKind::InvalidRequest, "the request could not be built".to_owned())
        } else {
            (ErrorKind::Connection, "the connection broke before the reply was whole".to_owned())
        };
        self.error(kind, what).with_source(error)
    }

    /// A reply that holds an error of the server; `kind` and status are the caller's to set.
    pub(super) fn server(&self, kind: ErrorKind, error: &ServerError) -> EngineError {
        let message = truncate(&self.redactor.clean(error.message.trim()), LONGEST_QUOTE);
        let words = [error.class.as_deref(), error.code.as_deref()];
        let words: Vec<&str> =
            words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
        let words = match words.as_slice() {
            [] => String::new(),
            words => format!(" [{}]", truncate(&self.redactor.clean(&words.join(", ")), 80)),
        };
        self.error(kind, format!("the server says: {message}{words}{}", advice(kind)))
    }

    /// A failed reply in no known shape.
    pub(super) fn unreadable(&self, kind: ErrorKind, body: &[u8]) -> EngineError {
        let quote = self.quote(body);
        let what = if quote.is_empty() {
            "the server failed without saying why".to_owned()
        } else {
            format!("the server failed with `{quote}`")
        };
        self.error(kind, format!("{what}{}", advice(kind)))
    }
}

/// Shorter values are no secrets, and blotting them out would make messages unreadable.
const SHORTEST: usize = 4;
const BLOT: &str = "[redacted]";
/// How much of a body is looked at for an excerpt, in bytes.
const LOOKED_AT: usize = 64 * 1024;

/// Blots the secrets of one client out of texts.
#[derive(Clone, Default)]
pub(super) struct Redactor(Vec<SecretString>);

impl Redactor {
    pub(super) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut forms: Vec<SecretString> = Vec::new();
        for secret in secrets {
            let plain = secret.expose_secret();
            if plain.chars().count() < SHORTEST {
                continue;
            }
            // A body that is quoted raw holds the secret as JSON spells it.
            let quoted = serde_json::Value::from(plain).to_string();
            forms.push(quoted.trim_matches('"').into());
            forms.push(secret);
        }
        // The longest first, so that a secret inside another does not leave the rest of it.
        forms.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
        Self(forms)
    }

    /// The text without the secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), BLOT))
    }

    /// Takes the secrets out of all texts of a reply and out of the names of its fields.
    pub(super) fn clean_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.clean(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_json(item)),
            Value::Object(fields) => {
                let old = std::mem::take(fields);
                fields.extend(old.into_iter().map(|(name, mut value)| {
                    self.clean_json(&mut value);
                    (self.clean(&name), value)
                }));
            }
            _ => {}
        }
    }

    /// The beginning of a body on one line, without the secrets.
    pub(super) fn truncate(&self, body: &[u8], max: usize) -> String {
        let head = body.get(..LOOKED_AT).unwrap_or(body);
        let text = self.clean(&String::from_utf8_lossy(head));
        let words: Vec<&str> = text.split_whitespace().collect();
        truncate(&words.join(" "), max)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blotted_out_before_a_text_is_cut() {
        let redactor = Redactor::new(["sk-secret-1234".into()]);
        assert_eq!(redactor.clean("key sk-secret-1234!"), "key [redacted]!");
        let cut = redactor.truncate(b"your key\n  sk-secret-1234 is bad", 12);
        assert!(!cut.contains("sk"), "{cut}");
    }

    #[test]
    fn a_secret_is_found_as_json_spells_it_and_inside_a_longer_one() {
        let redactor = Redactor::new(["abcd".into(), "abcd\"efgh".into()]);
        assert_eq!(redactor.clean(r#"{"m":"abcd\"efgh"}"#), r#"{"m":"[redacted]"}"#);
        assert_eq!(redactor.clean("abcd\"efgh"), "[redacted]");
    }

    #[test]
    fn the_texts_and_names_of_a_reply_lose_the_secrets() {
        let mut reply =
            serde_json::json!({ "sk-1234": [1.5, { "a": "Bearer sk-1234" }], "b": null });
        Redactor::new(["sk-1234".into()]).clean_json(&mut reply);
        let expected =
            serde_json::json!({ "[redacted]": [1.5, { "a": "Bearer [redacted]" }], "b": null });
        assert_eq!(reply, expected);
    }

    #[test]
    fn values_too_short_to_be_secrets_stay() {
        assert_eq!(Redactor::new(["x".into(), "".into()]).clean("exit"), "exit");
    }
}
