//! Runs: many queries searched into a folder, and the folder read, verified and replayed.
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
mod execute;
mod export;
mod finished;
mod folder;
mod merge;
mod observe;
mod replay;
mod results;
mod searches;
mod shard;
mod verify;

pub use self::config::{DataConfig, RunConfig, Scores, SettingDifference};
#[cfg(feature = "report")]
pub(crate) use self::config::{differences, pack_digest};
pub use self::execute::Run;
pub use self::export::{ExportRows, ExportStyle};
pub use self::folder::{RecordedRun, RunFolder};
pub use self::merge::merge;
pub use self::observe::{RunObserver, RunReport, RunStart};
pub use self::results::{ErrorRecord, ResultRecord, ResultsReader, ResultsWriter, Status};
pub use self::shard::Shard;
pub use self::verify::{Finding, Verification};

/// The requests of a served run, in its folder.
pub(crate) const SERVED: &str = "served.jsonl";
