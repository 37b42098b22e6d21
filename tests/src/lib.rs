//! What the crates' tests share.

pub mod fake_server;
