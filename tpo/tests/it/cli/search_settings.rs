//! Effects of settings on searches.

use std::path::Path;

use serde_json::{Value, json};
use textgrad_tests::fake_server::{FakeServer, Route};

use super::{Running, folder, json_lines, pointed_at, queries, read, run, simulation, tpo};

fn file(folder: &Path, text: &str) {
    std::fs::write(folder.join("study.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_end_by_the_rules_of_the_file() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 2);
    let server = simulation().start().await.unwrap();
    for (out, rule, reason, requests) in [
        ("target", "[early-stop]\nearly-stop-target = -1000", "target", 1),
        (
            "plateau",
            "[early-stop]\nearly-stop-patience = 2\nearly-stop-min-gain = 1000",
            "plateau",
            7,
        ),
        ("margin", "[early-stop]\nearly-stop-margin = 1000", "margin", 1),
        (
            "patience",
            "[early-stop]\nearly-stop-margin = 1000\nearly-stop-margin-patience = 3",
            "margin",
            7,
        ),
        ("calls", "budget = \"calls:4\"", "calls", 4),
        ("more", "budget = \"calls:9,tokens:900000\"", "calls", 7),
        ("answers", "budget = \"answers:14\"", "answers", 4),
        ("tokens", "budget = \"tokens:1\"", "tokens", 1),
        (
            "money",
            "budget = \"money:0.0000001\"\n[early-stop]\nprices = { sim = { input = 1, output = 1 } }",
            "money",
            1,
        ),
        (
            "free",
            "budget = \"money:1\"\n[early-stop]\nprices = { sim = { input = 0, output = 0 } }",
            "",
            16,
        ),
    ] {
        file(folder, &format!("[search]\niterations = 5\n{rule}\n"));
        let arguments = ["--config", "study.toml", "--data", "queries.json", "--out", out];
        let mut command = tpo(folder, arguments);
        command.args(pointed_at(&server));
        Running::start(command).end().with_code(0);
        let results = json_lines(&read(folder.join(out).join("results.jsonl")));
        for result in results {
            let trajectory = &result["trajectory"];
            let stopped = trajectory["stopped"].as_str().unwrap_or_default();
            assert_eq!(
                (stopped, &trajectory["usage"]["requests"]),
                (reason, &json!(requests)),
                "{out}"
            );
        }
    }
    let asked = server.stats().route(Route::Chat).requests;
    file(
        folder,
        "[search]\nbudget = \"money:1\"\n[early-stop]\nprices = { gpt-x = { input = 1, output = 1 } }\n",
    );
    let mut command = tpo(folder, ["--config", "study.toml"]);
    command.args(pointed_at(&server));
    Running::start(command).end().refused(&["a price for each engine", "none for \"openai:sim\""]);
    let judged = r#"{"sim": {"input": 1, "output": 1}}"#;
    let mut command = tpo(folder, ["--prices", judged, "--budget", "money:1"]);
    command.args(pointed_at(&server)[..6].iter());
    command.args(["--reward", "judge:engine=http://localhost:1/v1#grader"]);
    Running::start(command).end().refused(&["prices: expected a price for each engine", "grader"]);
    assert_eq!(server.stats().route(Route::Chat).requests, asked);
}

/// With prices, summaries have the cost of what was sent, unless an engine has no price.
#[test]
fn prices_alone_show_the_cost() {
    let folder = folder();
    queries(folder.path(), 2);
    let summary = |out: &str, prices: &str| {
        let data = ["--data", "queries.json", "--out", out, "--prices", prices, "--json"];
        let ended = run(folder.path(), &data).with_code(0);
        serde_json::from_str::<Value>(&ended.out).unwrap()
    };
    let priced = summary("a", r#"{"sim": {"input": 1, "output": 2}}"#);
    let usage = &priced["sent"]["usage"];
    let tokens = |name: &str| usage[name].as_f64().unwrap();
    let cost = (tokens("prompt_tokens") + 2.0 * tokens("completion_tokens")) / 1e6;
    assert!((priced["cost"].as_f64().unwrap() - cost).abs() < 1e-9, "{priced}");
    assert_eq!(summary("b", r#"{"other": {"input": 1, "output": 2}}"#)["cost"], Value::Null);
}

#[test]
fn every_setting_of_a_search_reaches_it() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 1);
    let arguments = [
        "--data=queries.json",
        "--out=out",
        "--mode=revision",
        "--iterations=1",
        "--samples=2",
        "--fuse=3",
        "--pairs=top-bottom:2",
        "--accept=always",
        "--guard=exclude",
        "--truncate=chars:900",
        "--parse-retries=1",
        "--edits=6",
        "--seed=11",
        "--early-stop-target=99.5",
        "--early-stop-patience=3",
        "--early-stop-min-gain=0.25",
        "--early-stop-margin=0.001",
        "--early-stop-margin-patience=2",
        "--budget=calls:100,tokens:200000,money:2",
        "--early-stop-seconds=300.5",
        r#"--prices={"sim":{"input":1,"cached":0.5,"output":2}}"#,
        "--temperature=0.5",
        "--critic-temperature=0.25",
        "--top-p=0.9",
        "--critic-top-p=0.8",
        "--frequency-penalty=-0.5",
        "--presence-penalty=0.75",
        "--max-tokens=1000",
        "--critic-max-tokens=2000",
        "--no-stop-sequences",
        r#"--extra-body={"top_k":40}"#,
    ];
    run(folder, &arguments).with_code(0);
    let config: Value = serde_json::from_str(&read(folder.join("out/config.json"))).unwrap();
    let sampling = |n: u32, temperature: f64, top_p: f64, max_tokens: u32| {
        json!({
            "n": n, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens,
            "frequency_penalty": -0.5, "presence_penalty": 0.75, "extra": { "top_k": 40 },
        })
    };
    let expected = json!({
        "mode": "revision", "iterations": 1, "samples": 2, "fuse": 3, "seed": 11, "parse_retries": 1,
        "edits": 6, "layout": "quoted",
        "sampling": sampling(2, 0.5, 0.9, 1000), "critic": sampling(1, 0.25, 0.8, 2000),
        "pairs": "top-bottom:2", "accept": "always", "guard": "exclude", "truncate": "chars:900",
        "early_stop": {
            "target": 99.5, "patience": 3, "min_gain": 0.25, "min_margin": 0.001, "margin_patience": 2,
            "seconds": 300.5, "budget": { "calls": 100, "tokens": 200_000, "money": 2.0 },
            "prices": { "sim": { "input": 1.0, "cached": 0.5, "output": 2.0 } },
        },
    });
    assert_eq!(config["search"], expected);
}

/// What a critic reads of an answer is cut, what is kept of it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_cut_before_they_enter_a_prompt() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 1);
    super::cuts::words(&folder.join("words.json"));
    let cases: [(&str, &[&str]); 2] = [
        ("chars", &["--truncate=chars:20"]),
        ("tokens", &["--truncate=tokens:5", "--tokenizer=words.json"]),
    ];
    for (out, truncate) in cases {
        let server = simulation().start().await.unwrap();
        let mut command = tpo(folder, ["--data=queries.json", "--out", out, "--iterations=1"]);
        command.args(truncate);
        command.args(pointed_at(&server));
        Running::start(command).end().with_code(0);
        let results = json_lines(&read(folder.join(out).join("results.jsonl")));
        let candidates = results[0]["trajectory"]["candidates"].as_array().unwrap();
        let text = candidates[0]["text"].as_str().unwrap();
        assert!(text.chars().count() > 60, "it is kept whole: {text}");
        let journal = read(folder.join(out).join("journal.jsonl"));
        let loss = json_lines(&journal).into_iter().find(|line| line["purpose"] == "loss");
        let read = loss.unwrap()["response"]["usage"]["prompt_tokens"].as_u64().unwrap();
        let whole = run_whole(folder, &server, out);
        assert!(read < whole, "{read} tokens, {whole} without the cut");
    }
}

/// How many tokens the critic reads where nothing is cut.
fn run_whole(folder: &Path, server: &FakeServer, of: &str) -> u64 {
    let out = format!("{of}-whole");
    let mut command = tpo(folder, ["--data=queries.json", "--out", &out, "--iterations=1"]);
    command.args(pointed_at(server));
    Running::start(command).end().with_code(0);
    let journal = read(folder.join(out).join("journal.jsonl"));
    let loss = json_lines(&journal).into_iter().find(|line| line["purpose"] == "loss");
    loss.unwrap()["response"]["usage"]["prompt_tokens"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_engines_criticize_and_rewrite() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 1);
    let [policy, critic, optimizer] = [
        simulation().start().await.unwrap(),
        simulation().start().await.unwrap(),
        simulation().start().await.unwrap(),
    ];
    let named = |server: &FakeServer| format!("{}#sim", server.base_url());
    let toml = format!(
        "[engine]\ncritic = \"{}\"\noptimizer = \"{}\"\n",
        named(&critic),
        named(&optimizer)
    );
    file(folder, &toml);
    let mut command =
        tpo(folder, ["--config", "study.toml", "--data", "queries.json", "--out", "out"]);
    command.args(pointed_at(&policy));
    Running::start(command).end().with_code(0);
    let chats =
        [&policy, &critic, &optimizer].map(|server| server.stats().route(Route::Chat).requests);
    assert_eq!(chats, [1, 4, 2]);
}

/// A model that never writes a new version between tags, as small ones do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iterations_that_bring_nothing_are_reported() {
    let engine = textgrad_core::engine_fn("idle", |request: textgrad_core::Request| async move {
        let said = |n: u32| {
            textgrad_core::Choice::new(format!("no {n}"), textgrad_core::FinishReason::Stop)
        };
        Ok(textgrad_core::Response::new((0..request.sampling.n).map(said).collect()))
    });
    let server = FakeServer::builder().engine(engine).start().await.unwrap();
    let folder = folder();
    let asked = queries(folder.path(), 2);
    let mut command = tpo(folder.path(), ["--reward", "length:from=1,to=9"]);
    command.args(["--engine", &format!("{}#idle", server.base_url()), "--data"]).arg(asked);
    let ended = Running::start(command).end().with_code(0);
    assert!(ended.out.contains("iterations without answers         4 of 4\n"), "{}", ended.out);
}

/// A server whose first choice of each request is truncated.
async fn truncating() -> FakeServer {
    use textgrad_core::{Choice, FinishReason, Request, Response};

    let engine = textgrad_core::engine_fn("cut", |request: Request| async move {
        let whole = |_| Choice::new("It is whole.", FinishReason::Stop);
        let cut = Choice::new("It is cut o", FinishReason::Length);
        let rest = (1..request.sampling.n).map(whole);
        Ok(Response::new(std::iter::once(cut).chain(rest).collect()))
    });
    // The truncated answer is the best one of the first query alone.
    let reward = |query: &str, answer: &str| {
        f64::from(u8::from(query.contains("number 0") == answer.ends_with("cut o")))
    };
    FakeServer::builder().engine(engine).reward(reward).start().await.unwrap()
}

/// Kind: Empty, truncated, refused | first answers that were truncated | counted, marked in results, warned of once
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_answers_are_counted_marked_and_warned_of_once() {
    let folder = super::folder();
    super::queries(folder.path(), 3);
    let server = truncating().await;
    let warnings = |ended: &super::Ended| ended.err.matches("raise it to have whole ones").count();
    let bon = ["--mode", "bon", "--samples", "3"];
    let command = super::over_http(folder.path(), &server, &bon);
    let ended = super::Running::start(command).end().with_code(0);
    assert_eq!(warnings(&ended), 1, "{}", ended.err);
    let row = |line: &&str| line.starts_with("truncated answers") && line.ends_with(" 3");
    assert!(ended.out.lines().any(|line| row(&line)), "{}", ended.out);
    let results = super::read(folder.path().join("out/results.jsonl"));
    for (index, record) in super::json_lines(&results).iter().enumerate() {
        let is_marked = |answer: &serde_json::Value| answer["truncated"] == true;
        assert_eq!(is_marked(&record["best"]), index == 0, "{record}");
        for answer in record["trajectory"]["candidates"].as_array().unwrap() {
            assert_eq!(is_marked(answer), answer["text"] == "It is cut o", "{answer}");
        }
    }
    // The same from the journal.
    let mut command = super::over_http(folder.path(), &server, &bon);
    command.args(["--resume", "--json"]);
    let ended = super::Running::start(command).end().with_code(0);
    let summary: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&summary["summary"]["truncated"], warnings(&ended)), (&3.into(), 1));
    assert_eq!(super::read(folder.path().join("out/results.jsonl")), results);
    let mut command = super::program(folder.path());
    command.args(["verify", "out"]);
    super::Running::start(command).end().with_code(0);

    // A study has many runs.
    let mut command = super::program(folder.path());
    command.args(["study", "--data", "queries.json", "--out", "study", "--modes", "bon"]);
    command.args(["--samples", "2,3", "--seeds", "1,2"]).args(pointed_at(&server));
    let ended = super::Running::start(command).end().with_code(0);
    assert_eq!(warnings(&ended), 1, "{}", ended.err);
}

/// Kind: Parameters | `none` for temperature, top-p, token bounds; a penalty of 0; `--no-seeds` | not sent
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_none_is_not_sent() {
    let folder = super::folder();
    super::queries(folder.path(), 1);
    let server = super::simulation().start().await.unwrap();
    let file = "[sampling]\ntop-p = \"none\"\nmax-tokens = \"none\"\n";
    std::fs::write(folder.path().join("none.toml"), file).unwrap();
    let mut flags = vec!["--config", "none.toml", "--presence-penalty", "0", "--no-seeds"];
    flags.extend(["--no-stop-sequences", "--critic-max-tokens", "none", "--critic-top-p", "none"]);
    flags.extend(["--temperature", "none", "--iterations", "1"]);
    let command = super::over_http(folder.path(), &server, &flags);
    super::Running::start(command).end().with_code(0);
    let requests = server.requests_to(textgrad_tests::fake_server::Route::Chat);
    assert!(requests.len() >= 4, "{}", requests.len());
    for request in requests {
        let fields: Vec<&String> = request.as_object().unwrap().keys().collect();
        let known = ["model", "messages", "n", "stream"];
        assert!(fields.iter().all(|field| known.contains(&field.as_str())), "{fields:?}");
    }
}

/// The simulation would answer each request of it as a question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_compact_pack_needs_a_model() {
    let folder = folder();
    queries(folder.path(), 1);
    let refused = run(folder.path(), &["--data=queries.json", "--prompts=compact"]);
    refused.refused(&["prompts: expected a directory with the simulation", "--engine", "compact"]);
    let server = simulation().start().await.unwrap();
    let arguments = ["--data=queries.json", "--out=out", "--prompts=compact", "--iterations=1"];
    let mut command = tpo(folder.path(), arguments);
    command.args(pointed_at(&server));
    Running::start(command).end().with_code(0);
    assert!(server.requests().iter().any(|body| body.to_string().contains("A user asked:")));
}
