//! The files of a run.

use serde_json::{Value, json};
use textgrad_tests::fake_server::{FaultRule, Route};

use super::{Running, folder, json_lines, over_http, queries, read, run, simulation};

#[test]
fn results_are_the_same_at_any_concurrency_and_on_a_second_run() {
    let folder = folder();
    queries(folder.path(), 12);
    let mut results = Vec::new();
    for (out, concurrency) in [("a", "1"), ("b", "64"), ("c", "64")] {
        let arguments = ["--data", "queries.json", "--out", out, "--concurrency", concurrency];
        run(folder.path(), &arguments).with_code(0);
        results.push(read(folder.path().join(out).join("results.jsonl")));
    }
    assert_eq!(json_lines(&results[0]).len(), 12);
    assert_eq!(results[0], results[1]);
    assert_eq!(results[1], results[2]);
    run(folder.path(), &["--data", "queries.json", "--out", "d", "--seed", "8"]).with_code(0);
    assert_ne!(results[0], read(folder.path().join("d/results.jsonl")), "the seed matters");
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn files_have_their_fields() {
    let folder = folder();
    queries(folder.path(), 2);
    run(folder.path(), &["--data", "queries.json", "--out", "out"]).with_code(0);
    let out = folder.path().join("out");

    let config: Value = serde_json::from_str(&read(out.join("config.json"))).unwrap();
    let stop = json!(tpo::STOP_TEXTS);
    let sampling = |n: u32, top_p: f64, max_tokens: u32| {
        json!({
            "n": n, "temperature": 0.7, "top_p": top_p, "max_tokens": max_tokens, "stop": stop,
        })
    };
    let search = json!({
        "mode": "tpo", "iterations": 2, "samples": 5, "fuse": 4, "seed": 7, "parse_retries": 2, "edits": 0,
        "sampling": sampling(5, 0.95, 2048), "critic": sampling(1, 0.99, 8192),
        "pairs": "best-worst", "accept": "improvement", "early_stop": {}, "truncate": null, "layout": "quoted",
    });
    let digest = |value: &Value| {
        let text = value.as_str().unwrap();
        assert!(text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
    };
    digest(&config["prompts"]);
    digest(&config["data"]["sha256"]);
    let expected = json!({
        "schema": 2, "tpo": env!("CARGO_PKG_VERSION"), "simulated": true, "search": search,
        "policy": "sim", "critic": "sim", "optimizer": "sim", "reward": "sim",
        "pairs": "best-worst", "prompts": config["prompts"],
        "data": { "source": "queries.json", "queries": 2, "sha256": config["data"]["sha256"] },
    });
    assert_eq!(config, expected);

    let results = json_lines(&read(out.join("results.jsonl")));
    for (index, line) in results.iter().enumerate() {
        assert_eq!(
            keys(line),
            ["best", "index", "query", "schema", "simulated", "status", "trajectory"]
        );
        assert_eq!((&line["index"], &line["schema"]), (&json!(index), &json!(2)));
        assert_eq!((&line["status"], &line["simulated"]), (&json!("ok"), &json!(true)));
        assert_eq!(keys(&line["best"]), ["iteration", "score", "text"]);
        let trajectory = &line["trajectory"];
        assert_eq!(keys(trajectory), ["candidates", "iterations", "tokens_by", "usage"]);
        assert_eq!(keys(&trajectory["candidates"][0]), ["iteration", "score", "text"]);
        assert_eq!(
            keys(&trajectory["iterations"][0]),
            ["chosen", "gradient", "iteration", "losses", "rejected", "updates"]
        );
        assert_eq!(keys(&trajectory["usage"]), ["by_purpose", "requests", "scored", "tokens"]);
        let candidates = trajectory["candidates"].as_array().unwrap();
        assert_eq!(candidates.len(), 15);
        let scores = candidates.iter().map(|c| c["score"].as_f64().unwrap());
        assert_eq!(line["best"]["score"].as_f64(), scores.reduce(f64::max));
    }

    let journal = json_lines(&read(out.join("journal.jsonl")));
    let crc = &journal[0]["crc"];
    assert_eq!(journal[0], json!({ "type": "run", "schema": 2, "config": config, "crc": crc }));
    let scored: u64 =
        results.iter().map(|line| line["trajectory"]["usage"]["scored"].as_u64().unwrap()).sum();
    assert_eq!(journal.len() as u64, 1 + 2 * 7 + scored + 2);
    for line in &journal[1..] {
        let fields = match line["type"].as_str() {
            Some("call") => vec!["crc", "key", "ms", "purpose", "query", "response", "type"],
            Some("finished") => vec!["crc", "line_crc", "query", "type"],
            _ => vec!["crc", "key", "ms", "query", "score", "type"],
        };
        assert_eq!(keys(line), fields);
    }
}

/// docs/run-folder.md names every field that is written.
#[test]
fn the_document_names_the_fields() {
    let folder = folder();
    queries(folder.path(), 1);
    let arguments = ["--data", "queries.json", "--out", "out", "--budget", "calls:1"];
    run(folder.path(), &arguments).with_code(0);
    run(folder.path(), &["--data", "queries.json", "--out", "whole"]).with_code(0);
    run(folder.path(), &["--data", "queries.json", "--out", "whole", "--extend", "--iterations=3"])
        .with_code(0);
    let document = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/run-folder.md"));
    let named = |value: &Value| {
        for key in keys(value) {
            let name = [format!("`{key}`"), format!(".{key}`"), format!("`{key}.")];
            assert!(
                name.iter().any(|name| document.contains(name)),
                "{key:?} is not in the document"
            );
        }
    };
    for out in ["out", "whole"] {
        let out = folder.path().join(out);
        let config: Value = serde_json::from_str(&read(out.join("config.json"))).unwrap();
        named(&config);
        named(&config["search"]);
        named(&config["data"]);
        for line in json_lines(&read(out.join("results.jsonl"))) {
            named(&line);
            let trajectory = &line["trajectory"];
            named(trajectory);
            named(&trajectory["usage"]);
            named(&trajectory["candidates"][0]);
            trajectory["iterations"].as_array().unwrap().iter().for_each(named);
        }
        for line in json_lines(&read(out.join("journal.jsonl"))) {
            named(&line);
            assert!(document.contains(&format!("| `{}`", line["type"].as_str().unwrap())));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_fails_is_exit_code_3_and_is_all_that_is_asked_when_resumed() {
    let folder = folder();
    queries(folder.path(), 3);
    let undisturbed = simulation().start().await.unwrap();
    Running::start(over_http(folder.path(), &undisturbed, &[])).end().with_code(0);
    let expected = read(folder.path().join("out/results.jsonl"));
    std::fs::remove_dir_all(folder.path().join("out")).unwrap();

    // The fifth request of the second query.
    let rule: FaultRule = "401@nth:12".parse().unwrap();
    let server = simulation().fault(rule).start().await.unwrap();
    let command = over_http(folder.path(), &server, &["--concurrency", "1"]);
    let ended = Running::start(command).end().with_code(3);
    assert!(ended.err.contains("query 1 failed: "), "{}", ended.err);
    assert!(ended.err.contains("check the key"), "{}", ended.err);
    assert!(ended.out.contains("queries failed"), "{}", ended.out);
    let results = json_lines(&read(folder.path().join("out/results.jsonl")));
    let status: Vec<&Value> = results.iter().map(|line| &line["status"]).collect();
    assert_eq!(status, ["ok", "error", "ok"]);
    assert_eq!(results[1]["error"]["kind"], "auth");
    assert_eq!(results[1]["trajectory"]["candidates"].as_array().unwrap().len(), 10);
    assert!(results[1]["best"]["score"].is_f64(), "the best that it had");
    assert_eq!(server.stats().route(Route::Chat).requests, 7 + 5 + 7);

    let command = over_http(folder.path(), &server, &["--resume"]);
    let ended = Running::start(command).end().with_code(0);
    assert!(ended.err.contains("resuming: "), "{}", ended.err);
    let stats = server.stats().route(Route::Chat);
    assert_eq!((stats.requests, stats.paid_twice), (19 + 3, 0));
    assert_eq!(read(folder.path().join("out/results.jsonl")), expected);
}
