//! Durable files, JSON, reasoning of models, and text for terminals.
//!
//! | module | contents |
//! |---|---|
//! | [`fs`] | atomic replacement with fsync of file and folder, exclusive locks, blocking work off the runtime |
//! | [`jsonl`] | append-only writer and reader of JSON Lines that tolerate a torn last line |
//! | [`json`] | lenient reading of JSON, names of its types, differences between two settings |
//! | [`reasoning`] | the answer of a text that begins with reasoning |
//! | [`terminal`] | escaping of control characters, lines on standard error |
//! | [`hex`], [`digest`] | bytes in hexadecimal, SHA-256 of texts |

pub mod fs;
pub mod json;
pub mod jsonl;
#[cfg(feature = "logging")]
pub(crate) mod message;
pub mod reasoning;
pub(crate) mod scan;
pub mod terminal;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// A level that calls learn of a server, such as what it refuses. It only rises.
#[derive(Debug, Default)]
pub(crate) struct Learned<T>(Mutex<T>);

impl<T: Copy + Ord> Learned<T> {
    pub(crate) fn get(&self) -> T {
        *self.0.lock()
    }

    /// Raises the level. Returns whether it was lower.
    pub(crate) fn raise(&self, to: T) -> bool {
        let mut level = self.0.lock();
        let is_higher = *level < to;
        *level = (*level).max(to);
        is_higher
    }
}

/// SHA-256 over texts, each with its length before it, in hexadecimal.
#[must_use]
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hex(&hash.finalize())
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
