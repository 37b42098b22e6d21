//! What a step asked.

use crate::query::Query;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use textgrad_core::Request;
use textgrad_ops::engine::request_key;

/// Identifies what a step asked: equal for equal questions, on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StepKey(String);

impl StepKey {
    pub(crate) fn of_call(engine: &str, request: &Request) -> Self {
        Self(request_key(engine, request).to_string())
    }

    pub(crate) fn of_score(model: &str, query: &Query, answer: &str) -> Self {
        Self(digest([model, &query.identity(), answer]))
    }

    pub(crate) fn from_text(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity of a reward model whose scores hold among these answers only.
pub(crate) fn among(model: &str, answers: &[&str]) -> String {
    format!("{model}{}", digest(answers.iter().copied()))
}

/// SHA-256 over texts, each with its length before it, in hexadecimal.
pub(crate) fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hex(&hash.finalize())
}

/// SHA-256 of what a file holds, in hexadecimal.
#[cfg(feature = "tokenizer")]
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
