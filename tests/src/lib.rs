//! What the crates' tests share.

pub mod fake_server;
pub mod program;

/// The README's example, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
