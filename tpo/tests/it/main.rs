//! Integration tests of searches, run folders, reports and the `tpo` program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::float_cmp,
    reason = "a panic fails the test"
)]

#[cfg(feature = "cli")]
mod budgets;
mod cli;
#[cfg(feature = "cli")]
mod custom_pack;
#[cfg(feature = "tokenizer")]
mod cuts;
mod edits;
mod graph;
mod layout;
mod long_answers;
mod methods;
mod modes;
mod observe;
mod official;
#[cfg(feature = "report")]
mod report;
mod resume;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "report")]
mod simulated_study;
mod small_models;
mod support;
mod verify;
