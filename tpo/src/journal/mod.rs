//! The journal of a run: one line for every finished step, written before the step counts.
//!
//! A run that was killed is continued by running it again with its journal: the search takes the same way,
//! for all its seeds come from places, and every step that is in the journal is answered from there. Nothing
//! that was paid for is asked again.
//!
//! # Format, version 1
//! JSON, one object a line, told apart by `type`:
//! * `run`, the first line: `schema` (1) and `config`, the settings that the results depend on;
//! * `extended`: `config`, the settings from there on, of a run that was given more iterations or more queries;
//! * `call`: `query` (its place, from 0), `purpose`, `key` (what was asked), `response`, `ms` (how long it took);
//! * `score`: `query`, `key`, `score`, `ms`;
//! * `failed`: `query`, `key`, `message`: a call that failed for good and that the search went on without. A
//!   call whose failure ended the search is not written, and is made again on resume.
//!
//! A last line without its newline is the trace of a process that was killed while it wrote: it is cut off
//! when the journal is opened again. Anything else that cannot be read is an error that names the line.

mod file;
mod key;
mod query;
mod record;
mod writer;

pub use self::file::Journal;
pub(crate) use self::key::StepKey;
#[cfg(feature = "tokenizer")]
pub(crate) use self::key::sha256;
pub(crate) use self::key::{among, digest};
pub(crate) use self::query::QueryJournal;
pub use self::record::Record;

/// The version of the format that is written.
pub const SCHEMA: u32 = 1;
