//! The exact wording of what is sent with the default prompts.
//!
//! A change of wording shows here as a difference between files; `INSTA_UPDATE=always cargo test` takes it over.

mod benchmarks;
mod objectives;
mod optimizers;
mod requests;
mod templates;

use std::fmt::Write as _;
use std::path::Path;

use textgrad_core::Request;

/// Snapshots lie beside all tests of this package.
fn snapshots(of: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(of);
}

/// A request as a reader would want to see it: purpose, sampling, and each message under its role.
fn shown(request: &Request) -> String {
    let sampling = serde_json::to_string(&request.sampling).unwrap();
    let mut text = format!("purpose: {}\nsampling: {sampling}\n", request.purpose);
    for message in &request.messages {
        let _ = write!(text, "=== {}\n{}\n", message.role, message.text());
    }
    text
}
