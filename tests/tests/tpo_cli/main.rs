//! The `tpo` program, run as a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod files;
mod input;
#[cfg(unix)]
mod interrupt;
mod kill;
mod mistakes;
mod presets;
mod secrets;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use textgrad_ops::engine::sim::{self, Sim};
use textgrad_tests::fake_server::{FakeServer, FakeServerBuilder, Route};

/// No run here takes long; one that does is ended, and its test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program as cargo built it for these tests, in a folder of its own, with nothing of this environment:
/// neither keys nor proxies.
fn tpo<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpo-under-test"));
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    command.arg("run").args(arguments);
    command
}

/// A run in the background, which ends with the test.
struct Running(Option<Child>);

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    fn kill(&mut self) {
        self.0.as_mut().unwrap().kill().unwrap();
    }

    /// Waits for its end. What it writes fits the pipes: tests do not log.
    fn end(mut self) -> Ended {
        let begun = Instant::now();
        while self.0.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a run left.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    #[track_caller]
    fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// A failure before anything was done: nothing on standard output, and an error that says this.
    #[track_caller]
    fn refused(self, words: &[&str]) {
        let ended = self.with_code(2);
        assert_eq!(ended.out, "");
        for word in words {
            assert!(ended.err.contains(word), "{word:?} is missing in: {}", ended.err);
        }
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Ended {
    Running::start(tpo(folder, arguments)).end()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file of so many queries.
fn queries(folder: &Path, count: usize) -> PathBuf {
    let queries: Vec<String> =
        (0..count).map(|i| format!("Why does wood number {i} float?")).collect();
    let path = folder.join("queries.json");
    std::fs::write(&path, serde_json::to_string(&queries).unwrap()).unwrap();
    path
}

fn simulation() -> FakeServerBuilder {
    FakeServer::builder().engine(Sim::default()).reward(sim::reward)
}

/// Arguments that point the program at a server, for policy and reward.
fn pointed_at(server: &FakeServer) -> Vec<String> {
    let (base_url, url) = (server.base_url(), server.url());
    let arguments = [
        "--engine",
        "openai",
        "--base-url",
        &base_url,
        "--model",
        "sim",
        "--reward",
        "vllm",
        "--reward-url",
        &url,
        "--reward-model",
        "sim",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// A run of `queries.json` against a server, into the folder `out`.
fn over_http(folder: &Path, server: &FakeServer, more: &[&str]) -> Command {
    let mut command = tpo(folder, ["--data", "queries.json", "--out", "out"]);
    command.args(pointed_at(server)).args(more);
    command
}

/// Waits until nothing is under way at a server: a killed client is noticed when its connection closes.
async fn quiet(server: &FakeServer) {
    let begun = Instant::now();
    while [Route::Chat, Route::Classify].iter().any(|r| server.stats().route(*r).in_flight > 0) {
        assert!(begun.elapsed() < PATIENCE, "requests stay under way");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
