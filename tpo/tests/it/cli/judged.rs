//! `tpo compare --judge`.

use std::path::Path;

use serde_json::Value;
use textgrad_core::{Choice, EngineError, FinishReason, Message, Request, Response, engine_fn};
use textgrad_tests::fake_server::{FakeServer, Route};

use super::{Ended, Running, folder, program, queries, read, run};

fn compare(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = program(folder);
    command.arg("compare").args(arguments);
    Running::start(command).end()
}

/// Two runs over the same queries.
fn runs(folder: &Path, count: usize) {
    queries(folder, count);
    run(folder, &["--data", "queries.json", "--out", "a"]).with_code(0);
    let bon = ["--data", "queries.json", "--out", "b", "--mode", "bon", "--samples", "2"];
    run(folder, &bon).with_code(0);
}

fn json(ended: Ended) -> Value {
    serde_json::from_str(&ended.with_code(0).out).unwrap()
}

/// Prefers the longer answer, whichever stands first.
async fn server() -> FakeServer {
    let judge = engine_fn("judge", |request: Request| async move {
        let user = request.messages.last().map(Message::text).unwrap_or_default();
        let (a, b) = user.split_once("Response B:").unwrap_or_default();
        let verdict = if a.len() + 20 > b.len() { "A" } else { "B" };
        let reply = format!("<VERDICT>{verdict}</VERDICT>");
        Ok::<_, EngineError>(Response::new(vec![Choice::new(reply, FinishReason::Stop)]))
    });
    FakeServer::builder().engine(judge).start().await.unwrap()
}

#[test]
fn the_simulation_judges_offline_and_is_asked_once() {
    let folder = folder();
    let folder = folder.path();
    runs(folder, 5);
    let told = compare(folder, &["a", "b", "--judge", "sim"]).with_code(0);
    for words in ["judged by sim in both orders (SIMULATION):", "95% CI", "n = 5)"] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    let kept = read(folder.join("a/grades.jsonl"));
    // The runs may be named in either order.
    let one = json(compare(folder, &["a", "b", "--judge", "sim", "--json"]));
    let other = json(compare(folder, &["./b", "a/", "--judge", "sim", "--json"]));
    assert_eq!(read(folder.join("a/grades.jsonl")), kept);
    assert!(!folder.join("b/grades.jsonl").exists());
    let (one, other) = (&one["judge"], &other["judge"]);
    assert_eq!((&one["wins"], &one["losses"]), (&other["losses"], &other["wins"]));
    assert_eq!(one["queries"], 5);
    assert_eq!(one["simulated"], true);
    let few = ["a", "b", "--judge", "sim", "--judge-limit", "2", "--json"];
    assert_eq!(json(compare(folder, &few))["judge"]["queries"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_judges_a_bounded_number_of_pairs_at_a_time() {
    let folder = folder();
    let folder = folder.path();
    runs(folder, 4);
    let server = server().await;
    let judge = format!("{}#judge", server.base_url());
    let arguments = ["a", "b", "--judge", &judge, "--json", "--no-preflight"];
    let limited = [&arguments[..], &["--max-concurrent-requests", "1"]].concat();
    let judged = json(compare(folder, &limited));
    let judged = &judged["judge"];
    let sum: u64 =
        ["wins", "ties", "losses"].iter().map(|name| judged[name].as_u64().unwrap()).sum();
    assert_eq!((sum, &judged["simulated"]), (4, &Value::Bool(false)), "{judged}");
    assert_eq!(server.stats().route(Route::Chat).max_in_flight, 1);
    let sent = server.requests_to(Route::Chat);
    assert!(sent.len() <= 8 && sent.iter().all(|request| request["temperature"] == 0.0));
    compare(folder, &arguments).with_code(0);
    assert_eq!(server.requests_to(Route::Chat).len(), sent.len(), "nothing is paid for twice");
}

#[test]
fn a_judge_compares_runs_whose_rewards_do_not_compare() {
    let folder = folder();
    let folder = folder.path();
    runs(folder, 2);
    let other = ["--data", "queries.json", "--out", "c", "--reward", "length:from=5"];
    run(folder, &other).with_code(0);
    compare(folder, &["a", "c"]).refused(&["different reward models"]);
    let told = compare(folder, &["a", "c", "--judge", "sim"]).with_code(0);
    assert!(told.err.contains("rewards are not compared: their rewards are of"), "{}", told.err);
    assert!(told.out.contains("judged by sim") && !told.out.contains("mean reward"));
    assert!(json(compare(folder, &["a", "c", "--judge", "sim", "--json"]))["judge"].is_object());
    queries(folder, 1);
    run(folder, &["--data", "queries.json", "--out", "d"]).with_code(0);
    compare(folder, &["a", "d", "--judge", "sim"]).refused(&["different queries"]);
}

#[test]
fn mistakes_of_a_judge_are_refused() {
    let folder = folder();
    let folder = folder.path();
    runs(folder, 1);
    compare(folder, &["a", "b", "--judge", "nobody"]).refused(&[
        "judge",
        "ollama/llama3",
        "nobody",
    ]);
    compare(folder, &["a", "b", "--timeout", "5"]).refused(&["--judge <ENGINE>"]);
    compare(folder, &["a", "b", "--judge-limit", "3"]).refused(&["--judge <ENGINE>"]);
    let zero = ["a", "b", "--judge", "sim", "--judge-limit", "0"];
    compare(folder, &zero).refused(&["--judge-limit", "0"]);
    compare(folder, &["a", "b", "--samples", "5"]).refused(&["--samples"]);
}
