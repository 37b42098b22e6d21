//! The folder of a run.
//!
//! | file | what it holds |
//! |---|---|
//! | `config.json` | the settings: [`RunConfig`] |
//! | `journal.jsonl` | one line per finished step; see [`crate::journal`] |
//! | `results.jsonl` | one line per query, in the order of the queries: [`ResultRecord`] |
//!
//! `results.jsonl` appears when the run ends. It has no times in it, so that two runs with the same settings
//! and the same answers have the same file.

mod config;
mod folder;
mod recall;
mod recorded;
mod results;
mod told;
mod verify;

#[cfg(feature = "report")]
pub(crate) use self::config::differences;
pub use self::config::{DataConfig, RunConfig, Scores};
pub use self::folder::RunFolder;
pub use self::recorded::{RecordedRun, ResultsReader};
pub use self::results::{BestRecord, ErrorRecord, ResultRecord, ResultsWriter, Status};
pub use self::verify::{Finding, Verification};
