//! Engines.

pub mod sim;
