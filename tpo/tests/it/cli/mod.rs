//! The `tpo` program, run as a process.

mod bench;
mod cache;
mod campaign;
mod config;
mod cuts;
mod export;
mod extend;
mod files;
mod finished;
mod first_run;
#[cfg(target_os = "linux")]
mod full;
mod generated;
mod grade;
mod headroom;
mod input;
#[cfg(unix)]
mod interrupt;
mod invalid_args;
mod judged;
mod kill;
mod kills;
mod preflight;
mod presets;
#[cfg(unix)]
mod queue;
mod reports;
mod rewards;
mod search_settings;
mod secrets;
#[cfg(unix)]
mod serve;
mod servers;
mod shards;
mod study;
mod study_lists;
mod terminal;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use textgrad_ops::sim::{self, Sim};
use textgrad_tests::fake_server::{FakeServer, FakeServerBuilder, Route};
use textgrad_tests::program::{Ended, PATIENCE, Running};

/// The program as cargo built it for these tests, in a folder of its own, with nothing of this environment:
/// neither keys nor proxies.
fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tpo"));
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    command
}

fn tpo<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = program(folder);
    command.arg("run").args(arguments);
    command
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
        // Tests count the requests of runs.
        "--no-preflight",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// A run of `queries.json` against a server, into the folder `out`.
fn over_http(folder: &Path, server: &FakeServer, more: &[&str]) -> Command {
    let mut command = tpo(folder, ["--data", "queries.json", "--out", "out"]);
    command.args(pointed_at(server)).args(more);
    command
}

/// Waits until a chat is under way at a server.
async fn arrived(server: &FakeServer) {
    let begun = Instant::now();
    while server.stats().route(Route::Chat).in_flight == 0 {
        assert!(begun.elapsed() < PATIENCE, "no request arrives");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until a server has seen all that clients sent who are gone.
async fn quiet(server: &FakeServer) {
    let quiet = tokio::time::timeout(PATIENCE, server.quiet());
    quiet.await.expect("a connection stays open").unwrap();
}
