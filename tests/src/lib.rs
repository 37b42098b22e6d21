//! The fake server and helpers for tests of programs.

pub mod fake_server;
pub mod faulty_link;
pub mod log;
pub mod nats;
pub mod program;
pub mod script;

/// The README's example, so that it compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The examples for people who come from TextGrad, so that they compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-textgrad.md")]
pub struct FromTextGrad;
