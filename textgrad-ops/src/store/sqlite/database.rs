//! The database file: opening, schema, errors.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, TransactionBehavior};
use textgrad_core::{EngineError, ErrorKind};

/// Marks a database as ours: "TGcache" cut to four bytes, in SQLite's `application_id`.
const APPLICATION: i64 = 0x5447_6361;

/// Goes up when an older program would misread the file. Held in SQLite's `user_version`.
pub(super) const VERSION: u32 = 2;

/// The metadata of a response is apart from its texts, so that to mark it as used, to list, and to prune do
/// not read these. A trigger, not a foreign key: those hold only where a connection asks for them.
const TABLES: &str = "
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    engine TEXT NOT NULL,
    model TEXT NOT NULL,
    purpose TEXT NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX entries_by_use ON entries (used);
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    response TEXT NOT NULL,
    request TEXT,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE leases (
    key TEXT PRIMARY KEY,
    owner INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER texts_go_with_their_entry AFTER DELETE ON entries BEGIN
    DELETE FROM texts WHERE id = old.id;
END;
";

/// An open file. Everything here blocks: it belongs into a thread of its own.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) db: Connection,
    pub(super) clock: fn() -> i64,
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// SQLite's integers have a sign; none of ours is below zero or near the bound.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Troubles on demand.
#[cfg(test)]
impl Database {
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

    /// As if another letter were on the disk, in a text that stays JSON.
    pub(super) fn flip(&mut self) -> Result<(), rusqlite::Error> {
        self.db.execute_batch("UPDATE texts SET response = replace(response, '\"x\"', '\"y\"')")
    }
}

/// How long to wait for another process. They only ever hold a file for the moment of a commit, which a busy disk
/// makes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// SQLite does not wait by itself where two processes begin a file at the same time.
const PAUSE: Duration = Duration::from_millis(10);
/// What a lookup needs, and lists, are prepared once.
const STATEMENTS: usize = 32;

/// Whether a file may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// If there is none.
    OrCreate,
    /// No.
    Existing,
}

impl Database {
    /// Opens a file for reading and writing.
    pub(super) fn open(path: &Path, open: Open) -> Result<Self, EngineError> {
        if open == Open::Existing && !path.is_file() {
            return Err(wrong(path, "expected a cache file, found no file of this name"));
        }
        let begun = Instant::now();
        loop {
            match Self::try_open(path, open) {
                Err(Trouble::Sqlite(error)) if is_busy(&error) && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                }
                Err(Trouble::Sqlite(error)) => return Err(explain(path, error)),
                Err(Trouble::Wrong(what)) => return Err(wrong(path, what)),
                Ok(db) => return Ok(Self { db, clock: now }),
            }
        }
    }

    /// Opens a file that another connection of this process has looked at already, for reading.
    pub(super) fn open_reading(path: &Path) -> Result<Self, Error> {
        let db = connect(path, Open::Existing)?;
        db.pragma_update(None, "query_only", true)?;
        Ok(Self { db, clock: now })
    }

    fn try_open(path: &Path, open: Open) -> Result<Connection, Trouble> {
        let mut db = connect(path, open)?;
        // Looked at before anything is changed: another program's database stays as it is.
        if is_empty(&db)? && open == Open::Existing {
            return Err(Trouble::Wrong("expected a cache file, got an empty one".to_owned()));
        }
        if db.is_readonly("main")? {
            return Err(Trouble::Wrong(
                "it cannot be written; check the permissions of the file and of its folder"
                    .to_owned(),
            ));
        }
        // Gives room back after a prune; must be set before the first page is written.
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Trouble::Wrong(format!(
                "it cannot be shared between processes here (SQLite's journal stays {mode:?}); choose a file on a local disk"
            )));
        }
        // Without waiting for the disk at each commit: a killed process loses nothing by it.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        create(&mut db)?;
        // Finds out at once whether each table can be read, and the file be written.
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for table in ["entries", "texts", "leases"] {
            change.query_row(
                &format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT 1)"),
                [],
                |_| Ok(()),
            )?;
        }
        change.pragma_update(None, "user_version", VERSION)?;
        change.commit()?;
        Ok(db)
    }
}

enum Trouble {
    Sqlite(Error),
    Wrong(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

fn connect(path: &Path, open: Open) -> Result<Connection, Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if open == Open::OrCreate {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(PATIENCE)?;
    // Damaged pages are found where they are read.
    db.pragma_update(None, "cell_size_check", true)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

/// Whether a file holds nothing yet. One of another program or version is an error.
fn is_empty(db: &Connection) -> Result<bool, Trouble> {
    let number = |pragma: &str| -> Result<i64, Error> {
        db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
    };
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (number("application_id")?, number("user_version")?) {
        (0, 0) if tables == 0 => Ok(true),
        (APPLICATION, version) if version == i64::from(VERSION) => Ok(false),
        (APPLICATION, version) => Err(Trouble::Wrong(format!(
            "expected version {VERSION} of its format, got version {version}; use the program that wrote it, or choose another file"
        ))),
        _ => Err(Trouble::Wrong(
            "expected a cache file, got a database of something else; choose another file"
                .to_owned(),
        )),
    }
}

/// Makes the tables, unless another process was faster.
fn create(db: &mut Connection) -> Result<(), Trouble> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if is_empty(&change)? {
        change.execute_batch(TABLES)?;
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
    change.commit()?;
    Ok(())
}

fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// An error about the file, for people.
pub(super) fn wrong(path: &Path, what: impl std::fmt::Display) -> EngineError {
    EngineError::new(ErrorKind::Other, format!("the cache {}: {what}", path.display()))
}

/// An error of SQLite, with what it means and what to do. SQLite's own words may name the path again, so the code
/// alone is kept where it is known.
pub(super) fn explain(path: &Path, error: Error) -> EngineError {
    let explained = wrong(path, advice(&error));
    match error {
        Error::SqliteFailure(code, Some(words)) if words.contains(&*path.to_string_lossy()) => {
            explained.with_source(code)
        }
        error => explained.with_source(error),
    }
}

/// What an error of SQLite means and what to do.
pub(super) fn advice(error: &Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            "expected a cache file, got something else or a damaged one; choose another file, or move this one away"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "the file is damaged; move it away, and a new one is begun"
        }
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; check that its folder exists and may be written to"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "it cannot be written; check the permissions of the file and of its folder"
        }
        Some(ErrorCode::DiskFull) => "the disk is full; make room, or choose a file elsewhere",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process holds it for too long; try again"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "the disk failed to read or write it; check for space, limits and the disk itself"
        }
        _ => "SQLite refused",
    }
}

#[cfg(test)]
mod tests;
