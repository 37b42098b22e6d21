//! What SQLite's errors mean for a file of answers.

use std::path::Path;

use rusqlite::{Error, ErrorCode};
use textgrad_core::{EngineError, ErrorKind};

/// An error about the file, for people.
pub(super) fn wrong(path: &Path, what: impl std::fmt::Display) -> EngineError {
    EngineError::new(ErrorKind::Other, format!("the cache {}: {what}", path.display()))
}

/// An error of SQLite, with what it means and what to do.
pub(super) fn explain(path: &Path, error: Error) -> EngineError {
    let what = match error.sqlite_error_code() {
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
    };
    wrong(path, what).with_source(error)
}
