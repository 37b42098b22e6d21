//! Addresses, proxies and settings of servers.

use std::process::Command;

use serde_json::Value;
use textgrad_core::{Choice, EngineError, FinishReason, Request, Response, engine_fn};
use textgrad_tests::fake_server::{FakeServer, FaultRule, Route};

use super::{
    Running, folder, json_lines, over_http, pointed_at, program, queries, read, run, simulation,
    tpo,
};

/// A best-of-2 of one query.
fn best_of_two(folder: &std::path::Path, base_url: &str, more: &[&str]) -> Command {
    queries(folder, 1);
    let mut command = tpo(folder, ["--data", "queries.json", "--out", "out", "--mode", "bon"]);
    command.args([
        "--engine",
        "openai",
        "--base-url",
        base_url,
        "--model",
        "sim",
        "--samples",
        "2",
    ]);
    command.args(more);
    command
}

/// Kind: Errors | a server on this machine, and a proxy in `http_proxy`, `HTTP_PROXY` or `ALL_PROXY` | past the proxy
/// Kind: Errors | a proxy that does not answer, with `--proxy-loopback` | an error that names the variable
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_on_this_machine_are_reached_past_proxies() {
    let server = simulation().start().await.unwrap();
    for (variable, host) in [("ALL_PROXY", "localhost"), ("http_proxy", "127.0.0.1")] {
        let folder = folder();
        let address = server.url().replace("127.0.0.1", host);
        let mut command = best_of_two(folder.path(), &address, &["--reward", "vllm"]);
        command.args(["--reward-url", &address, "--reward-model", "sim"]);
        command.env(variable, "http://127.0.0.1:9");
        Running::start(command).end().with_code(0);
    }
    let folder = folder();
    let more = ["--reward", "sim", "--retries", "0", "--proxy-loopback"];
    let mut command = best_of_two(folder.path(), &server.base_url(), &more);
    command.env("ALL_PROXY", "http://127.0.0.1:9");
    let ended = Running::start(command).end().with_code(2);
    assert!(ended.err.contains("requests go through the proxy of ALL_PROXY"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_with_another_route_or_in_quotes_reach_the_server() {
    let server = simulation().start().await.unwrap();
    let address = server.url();
    let host = address.trim_start_matches("http://");
    for base_url in
        [format!("{address}/v1/models/"), format!("'{host}/v1/completions'"), format!(" {host}/ ")]
    {
        let folder = folder();
        let more = ["--reward", "vllm", "--reward-url", &base_url, "--reward-model", "sim"];
        Running::start(best_of_two(folder.path(), &base_url, &more)).end().with_code(0);
    }
}

/// Kind: Secrets and terminals | a secret in `--extra-body`, at any depth | refused before a run
#[test]
fn secrets_in_extra_fields_are_refused() {
    for extra in [
        r#"{"provider":{"x-api-key":"sk-hunter2"}}"#,
        r#"{"metadata":[{"auth_token":"sk-hunter2"}]}"#,
    ] {
        let folder = folder();
        queries(folder.path(), 1);
        let ended =
            run(folder.path(), &["--data", "queries.json", "--out", "out", "--extra-body", extra]);
        assert!(!ended.err.contains("hunter2"), "{}", ended.err);
        ended.refused(&["looks like a secret", "environment variable"]);
    }
}

/// Kind: Reward servers | answers that are too long, in several queries | counted in the summary and in results, warned
/// of once
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_too_long_for_the_reward_model_are_counted() {
    for fault in ["413@every:3,classify", "413@every:2,classify"] {
        let server = simulation().fault(fault.parse::<FaultRule>().unwrap()).start().await.unwrap();
        let folder = folder();
        queries(folder.path(), 3);
        let bon = ["--mode", "bon", "--samples", "6"];
        let ended = Running::start(over_http(folder.path(), &server, &bon)).end().with_code(0);
        assert_eq!(ended.err.matches("too long for the reward model").count(), 1, "{}", ended.err);
        let results = json_lines(&read(folder.path().join("out/results.jsonl")));
        let count = |one: &Value, name| one["trajectory"]["usage"][name].as_u64().unwrap_or(0);
        let sum = |name| results.iter().map(|one| count(one, name)).sum::<u64>();
        let (scored, too_long) = (sum("scored"), sum("too_long"));
        let requests = server.stats().route(Route::Classify).requests;
        assert!(too_long > 3 && scored + too_long == requests, "{scored} {too_long} {requests}");
        let row = ended.out.lines().find(|line| line.starts_with("  too long for the reward"));
        assert!(row.is_some_and(|row| row.ends_with(&format!(" {too_long}"))), "{}", ended.out);
        let mut verify = program(folder.path());
        verify.args(["verify", "out"]);
        Running::start(verify).end().with_code(0);
    }
}

/// A server whose answers begin with reasoning.
async fn thinking() -> FakeServer {
    let engine = engine_fn("thinking", |request: Request| async move {
        let text = "<think>Hm, two words.</think>Dry wood floats on water.";
        let choices = (0..request.sampling.n).map(|_| Choice::new(text, FinishReason::Stop));
        Ok::<_, EngineError>(Response::new(choices.collect()))
    });
    FakeServer::builder()
        .engine(engine)
        .reward(|_, answer| answer.len() as f64)
        .start()
        .await
        .unwrap()
}

/// Kind: Reasoning | reasoning in the text, with `--inline-reasoning` | part of the text
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasoning_stays_in_the_text_on_demand() {
    let server = thinking().await;
    for (more, text) in [
        (&["--reward", "length:from=1"][..], "Dry wood floats on water."),
        (
            &["--reward", "length:from=1", "--inline-reasoning"],
            "<think>Hm, two words.</think>Dry wood floats on water.",
        ),
    ] {
        let folder = folder();
        Running::start(best_of_two(folder.path(), &server.base_url(), more)).end().with_code(0);
        let result: Value =
            serde_json::from_str(&read(folder.path().join("out/results.jsonl"))).unwrap();
        assert_eq!(result["best"]["text"], text);
    }
}

/// Kind: Reward servers | answers longer than `--reward-truncate` | their beginning is scored; they are returned whole
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_truncated_for_a_reward_server() {
    let server = thinking().await;
    let url = server.url();
    for reward in ["vllm", "vllm:truncate=chars:8"] {
        server.reset_stats();
        let folder = folder();
        let mut more = vec![
            "--reward",
            reward,
            "--reward-url",
            &url,
            "--reward-model",
            "sim",
            "--no-preflight",
        ];
        if reward == "vllm" {
            more.extend(["--reward-truncate", "chars:8"]);
        }
        Running::start(best_of_two(folder.path(), &server.base_url(), &more)).end().with_code(0);
        let result: Value =
            serde_json::from_str(&read(folder.path().join("out/results.jsonl"))).unwrap();
        assert_eq!(
            (&result["best"]["score"], &result["best"]["text"]),
            (&8.0.into(), &"Dry wood floats on water.".into())
        );
        let scored = server.requests_to(Route::Classify);
        assert!(
            scored.iter().all(|body| body["messages"][1]["content"] == "Dry wood"),
            "{scored:?}"
        );
    }
    let folder = folder();
    let more = ["--reward", "length:from=1", "--reward-truncate", "chars:8"];
    let ended = Running::start(best_of_two(folder.path(), &server.base_url(), &more)).end();
    ended.refused(&["--reward-truncate: expected none"]);
}

/// Updates are sent the old text as predicted output, one answer at a time; other requests are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn predicted_outputs_are_sent_with_updates() {
    let server = simulation().start().await.unwrap();
    let folder = folder();
    queries(folder.path(), 1);
    let arguments = ["--data=queries.json", "--out=out", "--iterations=1", "--samples=2"];
    let mut command = tpo(folder.path(), arguments);
    command.args(pointed_at(&server)).arg("--predicted-outputs");
    Running::start(command).end().with_code(0);
    let results = json_lines(&read(folder.path().join("out/results.jsonl")));
    let trajectory = &results[0]["trajectory"];
    let chosen = trajectory["iterations"][0]["chosen"].as_u64().unwrap() as usize;
    let old = &trajectory["candidates"][chosen]["text"];
    let bodies = server.requests();
    let chats = || bodies.iter().filter(|body| body["messages"].is_array());
    assert!(chats().all(|body| body.get("n").is_none()));
    let predicted: Vec<&Value> = chats().filter_map(|body| body.get("prediction")).collect();
    assert_eq!(predicted.len(), 2);
    let expected = serde_json::json!({ "type": "content", "content": old });
    assert!(predicted.iter().all(|prediction| **prediction == expected), "{predicted:?}");
}
