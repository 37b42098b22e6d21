//! Keys of clients, kept as hashes only.

use std::path::Path;

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use textgrad_ops::util::{hex, unhex};

use crate::error::Error;

/// The keys that a server accepts. It keeps SHA-256 hashes, never a key.
///
/// A file has one key a line, optionally with a name before it: `NAME KEY`, or `NAME sha256:HEX` with the hash in place
/// of the key. Blank lines and lines that begin with `#` are skipped. Names are shown in metrics and logs; keys are
/// shown nowhere. No two keys have one name; a key without one is `key-N`.
///
/// # Examples
/// ```
/// use tpo::serve::Keys;
///
/// let keys = Keys::parse("team-a made-up-key-1\n# comment\nmade-up-key-2")?;
/// assert_eq!(keys.len(), 2);
/// assert!(!format!("{keys:?}").contains("made-up-key-1"));
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

/// The beginning of the names of keys that have none.
const NUMBERED: &str = "key-";

#[derive(Clone)]
struct Key {
    name: String,
    hash: [u8; 32],
}

/// The client of a request: the position of its key, or the only one of a server without keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Client(pub(crate) usize);

impl Keys {
    /// Reads keys as their file has them.
    ///
    /// # Errors
    /// [`Error::Input`] for a line that holds no key. The message does not quote it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut keys = Self::default();
        for (line, number) in text.lines().zip(1_usize..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, key) = match words.as_slice() {
                [key] => (None, *key),
                [name, key] => (Some((*name).to_owned()), *key),
                _ => return Err(invalid(number, "KEY or NAME KEY")),
            };
            let hash = match key.strip_prefix("sha256:") {
                None => Sha256::digest(key.as_bytes()).into(),
                Some(digits) => {
                    unhex(digits).ok_or_else(|| invalid(number, "64 hexadecimal digits"))?
                }
            };
            if !keys.add(Key { name: name.unwrap_or_default(), hash }) {
                return Err(invalid(number, "a name that no other key has"));
            }
        }
        Ok(keys)
    }

    /// Adds a key. One without a name gets the first number that is free. Returns whether its name is new.
    fn add(&mut self, key: Key) -> bool {
        let is_free = |name: &String| self.0.iter().all(|known| known.name != *name);
        let numbered = || (self.0.len() + 1..).map(|number| format!("{NUMBERED}{number}"));
        let name = match key.name.is_empty() {
            true => numbered().find(is_free).unwrap_or_default(),
            false => key.name,
        };
        let is_new = is_free(&name);
        self.0.push(Key { name, ..key });
        is_new
    }

    /// Reads a file of keys.
    ///
    /// # Errors
    /// [`Error::Input`] if it cannot be read, and those of [`parse`](Self::parse).
    pub async fn load(path: &Path) -> Result<Self, Error> {
        let text = tokio::fs::read_to_string(path).await.map_err(|error| Error::Input {
            source_name: path.display().to_string(),
            reason: format!("expected a file of keys, cannot be read: {error}"),
        })?;
        Self::parse(&text)
    }

    /// These keys and others. Those of the others that have no name of their own are numbered behind these.
    ///
    /// # Errors
    /// [`Error::Input`] for a name that keys of both have.
    pub fn and(mut self, others: Self) -> Result<Self, Error> {
        for mut key in others.0 {
            if key.name.starts_with(NUMBERED) {
                key.name.clear();
            }
            let name = key.name.clone();
            if !self.add(key) {
                let reason = format!("expected names that no two keys have, got {name:?} twice");
                return Err(Error::Input { source_name: "keys".to_owned(), reason });
            }
        }
        Ok(self)
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: then every client is accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of a client's key.
    pub(crate) fn name(&self, client: Client) -> &str {
        self.0.get(client.0).map_or("anonymous", |key| &key.name)
    }

    /// What no other key has: a hash of the client's key. A key keeps it when others are added or removed.
    pub(crate) fn scope(&self, client: Client) -> String {
        self.0.get(client.0).map_or_else(String::new, |key| hex(&key.hash))
    }

    /// The client that sends these headers. All keys are compared, whichever matches.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Option<Client> {
        if self.is_empty() {
            return Some(Client(0));
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
        });
        let sent = bearer.or_else(|| text("x-api-key")).or_else(|| text("api-key"))?;
        let hash: [u8; 32] = Sha256::digest(sent.as_bytes()).into();
        let mut found = None;
        for (position, key) in self.0.iter().enumerate() {
            if bool::from(key.hash.ct_eq(&hash)) {
                found = found.or(Some(Client(position)));
            }
        }
        found
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

/// The line that a file has for a key, with its hash in place of the key.
#[must_use]
pub fn hashed_key(name: &str, key: &str) -> String {
    format!("{name} sha256:{}", hex(&Sha256::digest(key.as_bytes())))
}

fn invalid(line: usize, expected: &str) -> Error {
    let reason = format!("expected {expected}");
    Error::Input { source_name: format!("keys, line {line}"), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn keys_are_found_by_any_header_and_known_by_name() {
        let hashed = hashed_key("b", "second");
        let keys = Keys::parse(&format!("a first\n\n# no\n{hashed}\nthird")).unwrap();
        for (name, value, client) in [
            ("authorization", "Bearer first", Some("a")),
            ("authorization", "bearer second", Some("b")),
            ("x-api-key", "third", Some("key-3")),
            ("authorization", "Basic first", None),
            ("authorization", "Bearer firs", None),
            ("authorization", "Bearer ", None),
            ("cookie", "first", None),
        ] {
            let found = keys.client(&headers(name, value)).map(|client| keys.name(client));
            assert_eq!(found, client, "{name}: {value}");
        }
        assert_eq!(Keys::default().client(&HeaderMap::new()), Some(Client(0)));
    }

    #[test]
    fn keys_of_two_sources_have_names_and_scopes_of_their_own() {
        let client = |keys: &Keys, key| keys.client(&headers("x-api-key", key)).unwrap();
        let parse = |text| Keys::parse(text).unwrap();
        let both = parse("first").and(parse("second")).unwrap();
        let [first, second] = ["first", "second"].map(|key| client(&both, key));
        assert_eq!((both.name(first), both.name(second)), ("key-1", "key-2"));
        assert_ne!(both.scope(first), both.scope(second));
        // The scope of a key stays when another one is removed.
        let left = parse("second");
        assert_eq!(left.scope(client(&left, "second")), both.scope(second));
        assert!(!both.scope(second).contains("second"));
        assert!(parse("a one").and(parse("a two")).is_err());
        assert!(Keys::parse("a one\na two").is_err());
    }

    #[test]
    fn a_line_that_is_no_key_is_not_quoted() {
        for text in ["a b c-made-up", "name sha256:c0ffee", "\nname sha256:zz-made-up"] {
            let error = Keys::parse(text).unwrap_err();
            let error = textgrad_core::describe(&error);
            assert!(error.contains("keys, line") && !error.contains("made-up"), "{error}");
        }
        let shown = format!("{:?}", Keys::parse("name made-up").unwrap());
        assert_eq!(shown, r#"["name"]"#);
    }
}
