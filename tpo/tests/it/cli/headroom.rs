//! `tpo headroom`.

use std::path::Path;

use serde_json::Value;
use textgrad_tests::fake_server::Route;

use super::{Ended, Running, folder, program, queries, read, simulation};

fn headroom(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = program(folder);
    command.args(["headroom", "--data", "queries.json"]).args(arguments);
    Running::start(command).end()
}

fn json(ended: Ended) -> Value {
    serde_json::from_str(&ended.with_code(0).out).unwrap()
}

#[test]
fn samples_show_what_a_search_can_gain() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 32);
    let told = headroom(folder, &["--out", "a"]).with_code(0);
    for words in [
        "headroom (SIMULATION): 32 queries with 8 samples",
        "expected best of 2 ",
        "expected best of 8 ",
        "queries without spread     0 %",
        "not measured: the reward model is no judge",
        "these 32 queries show a difference of ",
    ] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    assert!(told.out.lines().all(|line| line.len() <= 80), "{}", told.out);
    assert!(!told.err.contains("warning"), "{}", told.err);
    // The figures are those of the run, which can be reported as any other.
    let again = headroom(folder, &["--out", "a", "--resume", "--json", "--difference", "0.5"]);
    let again = json(again);
    assert_eq!(again["sent"]["requests"], 0);
    assert_eq!(again["needed"].as_array().unwrap().len(), 1);
    let best: Vec<f64> = read(folder.join("a/results.jsonl"))
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["best"]["score"].as_f64().unwrap())
        .collect();
    let mean = best.iter().sum::<f64>() / best.len() as f64;
    let found = again["headroom"]["best"][3]["reward"]["mean"].as_f64().unwrap();
    assert!((found - mean).abs() < 1e-9, "{found} {mean}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_of_a_judge_are_scored_twice_and_paid_for_once() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 6);
    let server = simulation().start().await.unwrap();
    let engine = format!("{}#sim", server.base_url());
    let judge = ["--engine", &engine, "--reward", "judge:temperature=1", "--samples", "4"];
    let arguments = [&judge[..], &["--out", "a", "--no-preflight", "--json"]].concat();
    let first = json(headroom(folder, &arguments));
    let requests = server.stats().route(Route::Chat).requests;
    let noise = &first["headroom"]["noise"];
    let share = noise["share"].as_f64().unwrap();
    assert!(share > 0.0 && share < 1.0, "the judge is no oracle: {noise}");
    // The best by the first scores is, on average, less good by the second.
    let gain = |found: &Value| found["gain"]["mean"].as_f64().unwrap();
    assert!(gain(noise) < gain(&first["headroom"]["best"][2]), "{first}");
    let again = json(headroom(folder, &[&arguments[..], &["--resume"]].concat()));
    assert_eq!(first["headroom"], again["headroom"]);
    assert_eq!(server.stats().route(Route::Chat).requests, requests, "nothing is paid for twice");
}

#[test]
fn settings_of_a_search_are_refused() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 2);
    for (arguments, words) in [
        (&["--mode", "tpo"][..], &["--mode: expected bon", "tpo"][..]),
        (&["--samples", "1"], &["--samples: expected at least 2"]),
        (&["--reward", "pairwise-judge"], &["--reward: ", "such as judge", "pairwise-judge"]),
        (&["--difference", "-1"], &["'-1' for '--difference", "above 0"]),
    ] {
        headroom(folder, arguments).refused(words);
    }
    assert!(!folder.join("runs").exists());
}
