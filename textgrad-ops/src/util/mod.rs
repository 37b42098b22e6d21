//! Durable files: atomic replacement, locks, JSON Lines, and comparison of JSON settings.
//!
//! | module | contents |
//! |---|---|
//! | [`fs`] | atomic replacement with fsync of file and folder, exclusive locks, blocking work off the runtime |
//! | [`jsonl`] | append-only writer and reader of JSON Lines that tolerate a torn last line |
//! | [`json`] | names of JSON types, differences between two settings |

pub mod fs;
pub mod json;
pub mod jsonl;
