//! The `textgrad` program, run as a process.

mod cache;
mod engines;
mod page;

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use textgrad_tests::program::{Ended, Running};

/// The program as cargo built it for these tests, in a folder of its own, with nothing of this environment.
fn textgrad(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_textgrad"));
    command.env_clear().current_dir(folder).stdin(Stdio::null()).args(arguments);
    Running::start(command).end()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_help_says_what_a_user_must_know() {
    let folder = folder();
    let ended = textgrad(folder.path(), &["--help"]).with_code(0);
    assert!(ended.out.starts_with("Tools around automatic differentiation over text\n"));
    for words in [
        "  cache ",
        "  page ",
        "  engines ",
        "  completions ",
        "Examples:",
        "TEXTGRAD_LOG",
        "Exit codes:",
    ] {
        assert!(ended.out.contains(words), "{words}");
    }
    let script = textgrad(folder.path(), &["completions", "bash"]).with_code(0).out;
    assert!(script.contains("older-than") && script.contains("engines"), "{script}");
    textgrad(folder.path(), &[]).with_code(2);
    textgrad(folder.path(), &["cahce"]).refused(&["unrecognized subcommand 'cahce'"]);
}
