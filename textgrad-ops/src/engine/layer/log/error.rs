//! What can go wrong with a run log.

use std::path::{Path, PathBuf};

/// What can go wrong with a run log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened, read or written.
    #[error("the run log {} {action}; check the folder and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What cannot be done.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// Another process writes to the file.
    #[error("the run log {} is being written by another process; choose another file or wait for its end", .0.display())]
    Locked(PathBuf),
    /// The file to be continued is none of a log. Nothing was written to it.
    #[error("expected a run log to continue (lines of JSON with a version and a type) or no file yet at {}, got a file of something else; it was left as it is: choose another file", .0.display())]
    Foreign(PathBuf),
    /// A line that is not the last cannot be read.
    #[error("expected a call or a graph in line {line} of the run log {}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line is of a version that this library does not know.
    #[error(
        "expected lines of version {expected} in the run log {}, got version {got} in line {line}; read it with the version of the library that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The version that is known.
        expected: u32,
        /// The version that came.
        got: u64,
    },
    /// The page cannot be written.
    #[error("the page {} cannot be written; check the folder and its permissions", path.display())]
    Page {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A graph in the log is of no use.
    #[error("the graph {name:?} of the run log cannot be shown")]
    Graph {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: textgrad_core::Error,
    },
}

impl LogError {
    pub(super) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }
}
