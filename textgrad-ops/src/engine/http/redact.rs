//! Keeps secrets out of what servers send back.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use textgrad_core::truncate;

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
    fn values_too_short_to_be_secrets_stay() {
        assert_eq!(Redactor::new(["x".into(), "".into()]).clean("exit"), "exit");
    }
}
