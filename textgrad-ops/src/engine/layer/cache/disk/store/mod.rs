//! The file: an SQLite database in WAL mode.

mod entries;
mod open;
mod prune;
mod schema;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

pub(super) use self::entries::{Found, New};
pub(super) use self::open::Open;

/// An open file. Everything here blocks: it belongs into a thread of its own.
#[derive(Debug)]
pub(super) struct Store {
    db: Connection,
    clock: fn() -> i64,
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// SQLite's integers have a sign; none of ours is below zero or near the bound.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Troubles on demand.
#[cfg(test)]
impl Store {
    /// As if the disk were full.
    pub(super) fn limit_pages(&mut self, pages: u32) -> Result<(), rusqlite::Error> {
        self.db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    }

    pub(super) fn spoil(&mut self) -> Result<(), rusqlite::Error> {
        self.db.execute_batch("DROP TABLE texts")
    }

    pub(super) fn garble(&mut self) -> Result<(), rusqlite::Error> {
        self.db.execute_batch("UPDATE texts SET response = 'half a '")
    }
}

#[cfg(test)]
mod tests;
