//! Opening a file, and beginning one.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, TransactionBehavior};
use textgrad_core::EngineError;

use super::super::failure::{explain, wrong};
use super::schema::{APPLICATION, TABLES, VERSION};
use super::{Store, now};

/// How long to wait for another process. They only ever hold a file for the moment of a commit.
const PATIENCE: Duration = Duration::from_secs(5);
/// SQLite does not wait by itself where two processes begin a file at the same time.
const PAUSE: Duration = Duration::from_millis(10);
/// What a lookup needs, and lists, are prepared once.
const STATEMENTS: usize = 32;

/// Whether a file may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// If there is none.
    OrCreate,
    /// No.
    Existing,
}

/// What stands in a file.
enum Kind {
    Empty,
    Ours,
}

impl Store {
    /// Opens a file for reading and writing.
    pub(crate) fn open(path: &Path, open: Open) -> Result<Self, EngineError> {
        if open == Open::Existing && !path.is_file() {
            return Err(wrong(path, "expected a cache file, found no file of this name"));
        }
        let begun = Instant::now();
        loop {
            match Self::try_open(path, open) {
                Err(Trouble::Store(error)) if is_busy(&error) && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                }
                Err(Trouble::Store(error)) => return Err(explain(path, error)),
                Err(Trouble::Wrong(what)) => return Err(wrong(path, what)),
                Ok(db) => return Ok(Self { db, clock: now }),
            }
        }
    }

    /// Opens a file that another connection of this process has looked at already, for reading.
    pub(crate) fn open_reading(path: &Path) -> Result<Self, Error> {
        let db = connect(path, Open::Existing)?;
        db.pragma_update(None, "query_only", true)?;
        Ok(Self { db, clock: now })
    }

    fn try_open(path: &Path, open: Open) -> Result<Connection, Trouble> {
        let mut db = connect(path, open)?;
        // Looked at before anything is changed: another program's database stays as it is.
        if matches!((kind(&db)?, open), (Kind::Empty, Open::Existing)) {
            return Err(Trouble::Wrong("expected a cache file, got an empty one".to_owned()));
        }
        if db.is_readonly("main")? {
            return Err(Trouble::Wrong(
                "it cannot be written; check the permissions of the file and of its folder"
                    .to_owned(),
            ));
        }
        // Gives room back after a prune; must be said before the first page is written.
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
        for table in ["entries", "texts"] {
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
    Store(Error),
    Wrong(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

fn connect(path: &Path, open: Open) -> Result<Connection, Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if open == Open::OrCreate {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(PATIENCE)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

fn kind(db: &Connection) -> Result<Kind, Trouble> {
    let number = |pragma: &str| -> Result<i64, Error> {
        db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
    };
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (number("application_id")?, number("user_version")?) {
        (0, 0) if tables == 0 => Ok(Kind::Empty),
        (APPLICATION, version) if version == i64::from(VERSION) => Ok(Kind::Ours),
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
    if matches!(kind(&change)?, Kind::Empty) {
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
