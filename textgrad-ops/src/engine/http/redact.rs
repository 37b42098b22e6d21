//! Foreign text without the secrets of a client, in whatever encoding it repeats them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::{Regex, RegexBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use textgrad_core::truncate;

use crate::util::terminal::escape;

/// Shorter values are no secrets, and blotting them out would make messages unreadable.
const SHORTEST: usize = 4;
/// Shorter beginnings of a secret are none, such as `sk-proj`.
const SHORTEST_BEGINNING: usize = 8;
/// The most characters behind its half that a beginning of a secret is looked for with.
const LONGEST_REST: usize = 200;
/// Shorter values are not looked for in base64 and hexadecimal digits, where they would be found by chance.
const SHORTEST_ENCODED: usize = 6;
const BLOT: &str = "[redacted]";
/// How much of a body is looked at for an excerpt, in bytes.
const LOOKED_AT: usize = 64 * 1024;

/// Blots the secrets of one client out of texts: as they are, in any case, in hexadecimal digits, in base64 at any
/// offset, and behind up to two layers of escapes of JSON, HTML and URLs. A secret that is cut off is blotted out too,
/// if at least half of it is there.
#[derive(Clone, Default)]
pub(super) enum Redactor {
    #[default]
    Nothing,
    Secrets(Regex),
    /// The secrets could not be made a pattern: no text is safe.
    Everything,
}

impl Redactor {
    pub(super) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let (mut forms, mut beginnings): (Vec<String>, Vec<String>) = Default::default();
        for secret in secrets {
            let plain = secret.expose_secret().trim();
            if plain.chars().count() < SHORTEST {
                continue;
            }
            forms.push(plain.to_owned());
            beginnings.extend(beginning(plain));
            if plain.len() >= SHORTEST_ENCODED {
                forms.push(plain.bytes().map(|byte| format!("{byte:02x}")).collect());
                forms.extend(base64(plain.as_bytes()));
            }
        }
        if forms.is_empty() {
            return Self::Nothing;
        }
        // The longest first, so that a secret inside another does not leave the rest of it.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let forms = forms.iter().map(|form| regex::escape(form));
        let forms: Vec<String> = forms.chain(beginnings).collect();
        let pattern = RegexBuilder::new(&forms.join("|"))
            .unicode(false)
            .case_insensitive(true)
            .size_limit(usize::MAX)
            .build();
        pattern.map_or(Self::Everything, Self::Secrets)
    }

    /// The text without the secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        let pattern = match self {
            Self::Nothing => return text.to_owned(),
            Self::Secrets(pattern) => pattern,
            Self::Everything => return BLOT.to_owned(),
        };
        let plain = Decoded::new(text);
        let once = plain.decode();
        let twice = once.decode();
        let compact = twice.without_space();
        let mut found: Vec<(usize, usize)> = Vec::new();
        for decoded in [&plain, &once, &twice, &compact] {
            let matches = pattern.find_iter(&decoded.bytes);
            found.extend(matches.filter_map(|range| decoded.origin(range.start(), range.end())));
        }
        found.sort_unstable();
        let (mut cleaned, mut end) = (String::new(), 0);
        for (begin, until) in found {
            if begin >= end {
                cleaned.push_str(text.get(end..begin).unwrap_or_default());
                cleaned.push_str(BLOT);
            }
            end = end.max(until);
        }
        cleaned.push_str(text.get(end..).unwrap_or_default());
        cleaned
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

    /// The beginning of a text, fit for a message: without the secrets, and with control characters escaped.
    pub(super) fn quote(&self, text: &str, max: usize) -> String {
        truncate(&escape(&self.clean(text)), max)
    }

    /// The beginning of a body on one line, fit for a message.
    pub(super) fn truncate(&self, body: &[u8], max: usize) -> String {
        let head = body.get(..LOOKED_AT).unwrap_or(body);
        let text = self.clean(&String::from_utf8_lossy(head));
        let words: Vec<&str> = text.split_whitespace().collect();
        truncate(&escape(&words.join(" ")), max)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(..)")
    }
}

/// A pattern of what is left of a secret that was cut off: its first half, and as much behind that as there is.
fn beginning(secret: &str) -> Option<String> {
    let characters: Vec<String> =
        secret.chars().map(|c| regex::escape(c.encode_utf8(&mut [0; 4]))).collect();
    let half = characters.len().div_ceil(2).max(SHORTEST_BEGINNING);
    let (half, rest) = characters.split_at_checked(half).filter(|(_, rest)| !rest.is_empty())?;
    let rest = rest.iter().take(LONGEST_REST).rev();
    let rest = rest.fold(String::new(), |behind, c| format!("(?:{c}{behind})?"));
    Some(half.concat() + &rest)
}

/// A secret in base64, behind any text: the digits that hold nothing else, in both alphabets.
fn base64(secret: &[u8]) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |offset| {
        let padded = [vec![0; offset].as_slice(), secret].concat();
        // A digit holds 6 bits: those at the ends that it shares with other bytes are unknown.
        let (begin, end) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
        [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)]
            .map(|digits| digits.get(begin..end).unwrap_or_default().to_owned())
    })
}

/// A text behind its escapes.
struct Decoded {
    bytes: Vec<u8>,
    /// Of each byte, the range of the text that spells it.
    origins: Vec<(usize, usize)>,
}

impl Decoded {
    fn new(text: &str) -> Self {
        let origins = text
            .char_indices()
            .flat_map(|(at, c)| std::iter::repeat_n((at, at + c.len_utf8()), c.len_utf8()));
        Self { bytes: text.as_bytes().to_vec(), origins: origins.collect() }
    }

    /// One layer of escapes less: `%2f`, `\u002f`, `\x2f`, `\/`, `&#47;`, `&amp;`.
    fn decode(&self) -> Self {
        let mut decoded = Self { bytes: Vec::new(), origins: Vec::new() };
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (byte, length) =
                escaped(rest).unwrap_or((rest.first().copied().unwrap_or_default(), 1));
            if let Some(origin) = self.origin(at, at + length) {
                decoded.bytes.push(byte);
                decoded.origins.push(origin);
            }
            at += length;
        }
        decoded
    }

    /// Without white space: a key can be broken into lines.
    fn without_space(&self) -> Self {
        let pairs = self.bytes.iter().zip(&self.origins);
        let (bytes, origins) = pairs.filter(|(byte, _)| !byte.is_ascii_whitespace()).unzip();
        Self { bytes, origins }
    }

    fn origin(&self, begin: usize, end: usize) -> Option<(usize, usize)> {
        Some((self.origins.get(begin)?.0, self.origins.get(end.checked_sub(1)?)?.1))
    }
}

/// The byte that an escape at the beginning of a text spells, and the length of the escape.
fn escaped(text: &[u8]) -> Option<(u8, usize)> {
    let hex = |range: std::ops::Range<usize>| {
        let digits = std::str::from_utf8(text.get(range)?).ok()?;
        u8::from_str_radix(digits, 16).ok()
    };
    match text {
        [b'%', ..] => Some((hex(1..3)?, 3)),
        [b'\\', b'x', ..] => Some((hex(2..4)?, 4)),
        [b'\\', b'u', b'0', b'0', ..] => Some((hex(4..6)?, 6)),
        [b'\\', byte @ (b'/' | b'"' | b'\\' | b'\''), ..] => Some((*byte, 2)),
        [b'&', ..] => {
            let end = text.iter().take(8).position(|byte| *byte == b';')?;
            let name = std::str::from_utf8(text.get(1..end)?).ok()?;
            let byte = match name {
                "amp" => b'&',
                "lt" => b'<',
                "gt" => b'>',
                "quot" => b'"',
                "apos" => b'\'',
                _ => {
                    let number = name.strip_prefix('#')?;
                    let digits = number.strip_prefix(['x', 'X']);
                    let radix = if digits.is_some() { 16 } else { 10 };
                    u8::from_str_radix(digits.unwrap_or(number), radix).ok()?
                }
            };
            Some((byte, end + 1))
        }
        _ => None,
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

    /// Kind: Secrets and terminals | an error that repeats the key in hexadecimal digits, escapes or another case |
    /// `[redacted]`
    #[test]
    fn a_secret_is_found_in_any_encoding() {
        let key = "sk-Live/9+a\"é~";
        let redactor = Redactor::new([key.into()]);
        let percent: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let unicode: String = key.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let entities: String = key.bytes().map(|byte| format!("&#{byte};")).collect();
        let hex: String = key.bytes().map(|byte| format!("{byte:02X}")).collect();
        let mut forms = vec![
            key.to_owned(),
            key.to_ascii_uppercase(),
            key.to_ascii_lowercase(),
            "sk-Live%2F9%2Ba%22%C3%A9~".to_owned(),
            percent.clone(),
            percent.replace('%', "%25"),
            entities,
            hex,
            serde_json::to_string(&serde_json::Value::from(key).to_string()).unwrap(),
            "sk-Live\n  /9+a\"é~".to_owned(),
        ];
        // Characters beyond ASCII have another number there than their bytes.
        let ascii = Redactor::new(["sk-Live/9+a".into()]);
        let cleaned = ascii.clean(&unicode);
        assert!(cleaned.starts_with(BLOT) && !cleaned.contains("0073"), "{cleaned}");
        forms.retain(|form| {
            redactor.clean(form).contains("sk") || !redactor.clean(form).contains(BLOT)
        });
        assert!(forms.is_empty(), "{forms:?}");
    }

    /// Kind: Secrets and terminals | an error that repeats at least the first half of the key | `[redacted]`
    #[test]
    fn a_secret_that_is_cut_off_is_found() {
        let redactor = Redactor::new(["sk-secret-1234567".into()]);
        for (text, cleaned) in [
            ("key sk-secret-1234 is bad", "key [redacted] is bad"),
            ("key sk-secret*******567.", "key [redacted]*******567."),
            ("SK-SECRET-1234567.", "[redacted]."),
            ("sk-secre is bad", "sk-secre is bad"),
            ("sk-secret-9 is bad", "[redacted]9 is bad"),
        ] {
            assert_eq!(redactor.clean(text), cleaned);
        }
        assert_eq!(Redactor::new(["sk-secret".into()]).clean("sk-secre!"), "[redacted]!");
        let long = "k".repeat(3000);
        assert_eq!(Redactor::new([long.into()]).clean(&"k".repeat(1500)), BLOT);
    }

    /// Kind: Secrets and terminals | an error that repeats the key in base64, behind any text | `[redacted]`
    #[test]
    fn a_secret_is_found_in_base64_behind_any_text() {
        let key = "sk-1234567890abcdef";
        let redactor = Redactor::new([key.into()]);
        for before in ["", ":", "me:", "Bearer ", "key=", "Authorization: Bearer "] {
            for after in ["", "\n", "&x=1", "??>"] {
                let text = format!("{before}{key}{after}");
                for digits in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    let cleaned = redactor.clean(&format!("got {digits}== there"));
                    assert!(cleaned.contains(BLOT), "{text:?}: {cleaned}");
                    let left = cleaned.len().saturating_sub("got [redacted]== there".len());
                    assert!(
                        left <= (before.len() + after.len()) * 4 / 3 + 4,
                        "{text:?}: {cleaned}"
                    );
                }
            }
        }
        assert_eq!(
            redactor.clean("a plain text with %41, &amp; and \\u0041"),
            "a plain text with %41, &amp; and \\u0041"
        );
    }

    /// Kind: Secrets and terminals | escape sequences in an error of a server | shown escaped
    #[test]
    fn a_quote_shows_control_characters() {
        let redactor = Redactor::default();
        assert_eq!(redactor.quote("a\u{1b}[2J\u{202e}b", 40), "a\\u{1b}[2J\\u{202e}b");
        assert_eq!(redactor.truncate(b"a\x07\r\n\tb", 40), "a\\u{7} b");
    }
}
