//! Settings, statistics and entries of a cache file.

use std::time::Duration;

use derive_setters::Setters;
use serde::Serialize;
use textgrad_core::{Request, Response, Usage};

/// How a [`SqliteStore`](super::SqliteStore) is kept.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Setters)]
pub struct SqliteConfig {
    /// The maximum size of the file, in bytes. Default: 1 GiB. When it is larger, the answers that were not
    /// used for the longest make room, down to nine tenths of it, so that this is not done at each insert.
    ///
    /// It counts the pages of the file that hold something. Beside the file, SQLite keeps up to about 4 MiB of
    /// what was written last in a file of the same name with `-wal` at its end. An empty file has some 40 KiB:
    /// with less than that nothing is kept.
    pub(super) max_bytes: u64,
    /// Whether requests are kept beside their responses, for inspection. Default: true. Without
    /// them a file is smaller and does not tell what was asked, but for what the answers repeat: they are found
    /// by a hash.
    pub(super) keep_requests: bool,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, keep_requests: true }
    }
}

/// What a file of answers holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SqliteInfo {
    /// The version of the file's format.
    pub schema: u32,
    /// How many answers it holds.
    pub entries: u64,
    /// The size of the file, in bytes, without what is free in it.
    pub bytes: u64,
    /// What is free in the file, in bytes: room for the next answers.
    pub free_bytes: u64,
    /// Tokens of all answers in it: what they would cost again.
    pub usage: Usage,
    /// When the oldest was kept, in milliseconds since 1970.
    pub oldest: Option<u64>,
    /// When the youngest was kept.
    pub newest: Option<u64>,
    /// When one was last used.
    pub used: Option<u64>,
}

/// An entry of a file of answers, without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheEntry {
    /// The key of the request: 64 hexadecimal digits.
    pub key: String,
    /// Which engine was asked.
    pub engine: String,
    /// The model as the server names it.
    pub model: String,
    /// Why it was first asked.
    pub purpose: String,
    /// When it was kept, in milliseconds since 1970.
    pub created: u64,
    /// When it was last used, to the minute.
    pub used: u64,
    /// What it cost.
    pub usage: Usage,
    /// The size of request and answer, in bytes.
    pub bytes: u64,
}

/// An entry with its texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CachedCall {
    /// All but the texts.
    #[serde(flatten)]
    pub entry: CacheEntry,
    /// What was asked, where requests are kept.
    pub request: Option<Request>,
    /// What was answered.
    pub response: Response,
}

/// Which entries of a file are meant: those for which every condition holds.
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq, Setters)]
#[setters(into, strip_option)]
pub struct CacheFilter {
    /// Answers of this engine.
    pub engine: Option<String>,
    /// Answers of this model, as the server names it.
    pub model: Option<String>,
    /// Answers first asked for this purpose, such as `sample`.
    pub purpose: Option<String>,
    /// Answers not used for this long. Keeping one counts as use.
    #[setters(into = false)]
    pub unused_for: Option<Duration>,
    /// Answers used within this time.
    #[setters(into = false)]
    pub used_within: Option<Duration>,
    /// At most so many, those used last.
    #[setters(into = false)]
    pub limit: Option<u64>,
}

/// What was removed from a file of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RemovedEntries {
    /// How many answers.
    pub entries: u64,
    /// By how many bytes the file shrank.
    pub bytes: u64,
}
