//! Training: what a step does, how a training ends, and that it can be killed and resumed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what panics in a test has failed"
)]

#[cfg(unix)]
mod commands;
mod counting;
#[cfg(unix)]
mod disk;
mod endings;
mod lapses;
mod losses;
mod mistakes;
mod resume;
mod steps;
mod support;
