//! Integration tests of the core.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::float_cmp,
    reason = "a panic fails the test"
)]

mod annotations;
mod backward;
mod concat;
mod deep;
mod failed;
mod graph;
mod packs;
mod packs_in_memory;
mod page;
mod properties;
mod reduce;
mod schedule;
mod second_order;
mod support;
mod variables;
