//! Runs that workers search, by a real NATS server. Without one, these tests check nothing and say so.

mod chaos;
mod faults;
mod roles;
mod runs;
mod spans;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use textgrad_tests::fake_server::{FakeServer, Route};
use textgrad_tests::program::{Ended, PATIENCE, Running};

use super::kill::known;
use super::{over_http, pointed_at, program, queries, read, simulation};

/// A coordinator of `queries.json` against a server, into the folder `out`.
fn coordinator(folder: &Path, server: &FakeServer, url: &str, more: &[&str]) -> Running {
    let queue = ["--queue", url, "--ack-wait", "1", "--json"];
    Running::start(over_http(folder, server, &[&queue, more].concat()))
}

fn worker_command(folder: &Path, server: &FakeServer, url: &str, more: &[&str]) -> Command {
    let mut command = program(folder);
    command.args(["worker", "--queue", url, "--json"]).args(pointed_at(server)).args(more);
    command
}

fn worker(folder: &Path, server: &FakeServer, url: &str, more: &[&str]) -> Running {
    Running::start(worker_command(folder, server, url, more))
}

fn verify(folder: &Path) {
    let mut command = program(folder);
    command.args(["verify", "out"]);
    Running::start(command).end().with_code(0);
}

/// The results of one process that nothing disturbs.
async fn undisturbed(count: usize) -> String {
    let folder = super::folder();
    queries(folder.path(), count);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder.path(), &server, &[])).end().with_code(0);
    read(folder.path().join("out/results.jsonl"))
}

fn summary(ended: &Ended) -> Value {
    serde_json::from_str::<Value>(&ended.out).unwrap()["summary"].clone()
}

/// Requests that were answered beyond the steps of the journal.
fn asked_again(folder: &Path, server: &FakeServer) -> u64 {
    let stats = server.stats();
    let asked = |route| stats.route(route).requests;
    let (calls, scores) = known(&read(folder.join("out/journal.jsonl")));
    asked(Route::Chat) + asked(Route::Classify) - calls - scores
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
