//! Integration tests of ops, engines, training and the `textgrad` program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::float_cmp,
    reason = "a panic fails the test"
)]

mod algebra;
mod bad_input;
#[cfg(feature = "cli")]
mod cli;
#[cfg(target_os = "linux")]
mod command;
mod compositions;
mod examples;
mod feedback_request;
mod llm;
mod llm_fields;
mod losses;
mod multimodal;
mod optimizer;
mod optimizer_edits;
mod optimizer_graph;
mod optimizer_memory;
mod optimizer_rules;
mod optimizer_sampled;
mod optimizer_selection;
mod parameters;
mod prior_art_regressions;
mod prior_art_regressions_losses;
mod prior_art_regressions_optimizers;
mod prompt_optimization;
mod replies;
mod requests_in_the_graph;
mod second_order;
mod second_order_edges;
mod support;
mod texts_are_data;
mod train;
mod truncated;
