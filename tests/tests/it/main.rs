//! Tests across crates: fake server, HTTP, request snapshots, search model, documents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::float_cmp,
    reason = "a panic fails the test"
)]

mod architecture;
mod documents;
mod fake_server;
mod fuzz;
mod goldens;
mod graph_page;
mod model_values;
mod prior_art_regressions;
mod tidy;
mod tpo_http;
mod trajectory;
