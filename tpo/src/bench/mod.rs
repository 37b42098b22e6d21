//! Benchmarks: their files in and out, in their authors' formats, and graders that run here.
//!
//! | benchmark | in | out | graded by |
//! |---|---|---|---|
//! | [`alpaca_eval`] | JSON list | JSON list for the official annotator | a judge; win rates plain and at equal lengths |
//! | [`arena_hard`] | `question.jsonl` | `model_answer` JSONL | a judge, both orders; scores plain and with style control |
//! | [`hh_rlhf`] | JSONL, also compressed | pairs, JSONL | the mean of a reward model |
//! | [`beavertails`] | JSON list or JSONL | JSON list | the mean of a reward model |
//! | [`xstest`] | CSV | completions CSV | a judge of refusals |
//! | [`math500`] | JSONL | CSV or JSONL for other graders | rules, see [`math500::grade`] |
//!
//! Every reader gives the benchmark's own records; [`Item`] is what a run needs of any of them. [`to_json`],
//! [`to_jsonl`] and [`to_csv`] write records. [`paper`] holds the figures that the method was published with.

pub mod alpaca_eval;
pub mod arena_hard;
pub mod beavertails;
mod grader;
pub mod hh_rlhf;
mod item;
mod logistic;
pub mod math500;
pub mod paper;
mod records;
pub mod xstest;

pub use self::grader::{Grader, MeanReward, mean_reward};
pub use self::item::{Benchmark, Item, sample};
pub use self::records::{read_file, to_csv, to_json, to_jsonl};
