//! Input and output of runs.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};
use tpo::input::BUILTIN;

use super::{Running, folder, json_lines, read, run, tpo};

#[test]
fn without_data_the_built_in_queries_are_answered_and_no_file_is_written() {
    let folder = folder();
    let ended = run(folder.path(), &["--raw"]).with_code(0);
    for query in BUILTIN {
        assert!(ended.out.contains(&format!("--- {query}\n")), "{}", ended.out);
    }
    assert!(ended.out.contains("summary (SIMULATION)"), "{}", ended.out);
    assert!(ended.err.contains("SIMULATION: "), "{}", ended.err);
    assert!(ended.err.starts_with("tpo: 8 queries from built-in, D=2 N=5 seed=7"), "{}", ended.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn every_format_of_queries_comes_to_the_same_results() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let conversation = json!({ "messages": [{ "role": "user", "content": "Why not?" }] });
    write("a.json", r#"["Why?", {"prompt": "Why not?"}]"#);
    write("b.jsonl", &format!("{{\"instruction\": \"Why?\"}}\n\n{conversation}\n"));
    write("c.txt", "Why?\r\n\r\n  Why not?\r\n");
    write("d", "[\"Why?\", \"Why not?\"]");
    let mut all = Vec::new();
    for name in ["a.json", "b.jsonl", "c.txt", "d"] {
        run(folder.path(), &["--data", name, "--out", &format!("{name}-out")]).with_code(0);
        all.push(read(folder.path().join(format!("{name}-out/results.jsonl"))));
    }

    let mut command = tpo(folder.path(), ["--data", "-", "--limit", "2"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"Why?\nWhy not?\nOr is it?\n").unwrap();
    let ended = Running::from(child).end().with_code(0);
    assert!(ended.out.contains("results: runs/stdin-tpo-001/results.jsonl"), "{}", ended.out);
    all.push(read(folder.path().join("runs/stdin-tpo-001/results.jsonl")));

    let first = json_lines(&all[0]);
    assert_eq!((&first[0]["query"], &first[1]["query"]), (&json!("Why?"), &json!("Why not?")));
    assert_eq!(first.len(), 2);
    assert!(all.iter().all(|results| *results == all[0]), "{all:?}");
}

#[test]
fn the_other_fields_of_a_record_are_in_the_results() {
    let folder = folder();
    let table = "id,ask,level\nq-17,Why?,3\nq-18,\"Why, then?\",4\n";
    std::fs::write(folder.path().join("a.csv"), table).unwrap();
    let arguments = ["--data", "a.csv", "--prompt-column", "ask", "--out", "out"];
    run(folder.path(), &arguments).with_code(0);
    let results = json_lines(&read(folder.path().join("out/results.jsonl")));
    let found: Vec<_> = results.iter().map(|line| (&line["query"], &line["fields"])).collect();
    let fields = [json!({ "id": "q-17", "level": "3" }), json!({ "id": "q-18", "level": "4" })];
    assert_eq!(found, [(&json!("Why?"), &fields[0]), (&json!("Why, then?"), &fields[1])]);
    run(folder.path(), &[&arguments[..], &["--resume"]].concat()).with_code(0);
    assert_eq!(json_lines(&read(folder.path().join("out/results.jsonl"))), results);
}

#[test]
fn what_is_no_file_of_queries_is_refused_with_the_remedy() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("latin.txt"), b"caf\xe9?").unwrap();
    std::fs::write(folder.path().join("empty.json"), b"").unwrap();
    std::fs::write(folder.path().join("a.xlsx"), b"PK").unwrap();
    for (data, words) in [
        ("sub", "name one of those in the directory"),
        ("hf:org/prompts", "hf download --repo-type dataset"),
        ("https://example.org/prompts.jsonl", "hf download"),
        ("org/prompts", "if it is the name of a data set"),
        ("latin.txt", "iconv -f LATIN1 -t UTF-8"),
        ("empty.json", "expected at least one query, found none"),
        ("a.xlsx", "got .xlsx; convert it, or name its format with --format"),
        ("none.csv", "none.csv: cannot be read: No such file"),
    ] {
        let ended = run(folder.path(), &["--data", data]).with_code(2);
        assert!(ended.err.contains(words), "{data}: {}", ended.err);
    }
}

#[test]
fn a_folder_is_chosen_that_holds_no_run_yet() {
    let folder = folder();
    std::fs::write(folder.path().join("q.txt"), "Why?\n").unwrap();
    for number in ["001", "002"] {
        let ended = run(folder.path(), &["--data", "q.txt", "--mode", "bon"]).with_code(0);
        let results = format!("runs/q-bon-{number}/results.jsonl");
        assert!(ended.out.contains(&format!("results: {results}\n")), "{}", ended.out);
        assert_eq!(json_lines(&read(folder.path().join(results))).len(), 1);
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_row_of_the_critical_path_names_what_it_is() {
    let folder = folder();
    super::queries(folder.path(), 1);
    let arguments = ["--data", "queries.json", "--out", "out", "--sim-latency-ms", "50"];
    let ended = run(folder.path(), &arguments).with_code(0);
    assert!(ended.out.contains("\ncritical path (least time) "), "{}", ended.out);
}

#[test]
fn the_summary_for_machines_has_its_fields() {
    let folder = folder();
    super::queries(folder.path(), 3);
    let arguments = ["--data", "queries.json", "--out", "out", "--json"];
    let ended = run(folder.path(), &arguments).with_code(0);
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        keys(&told),
        ["answers", "cache", "critical_path_s", "interrupted", "results", "sent", "summary"]
    );
    assert_eq!(told["cache"], Value::Null);
    assert_eq!((&told["answers"], &told["interrupted"]), (&Value::Null, &json!(false)));
    // Calls that take next to nothing say nothing about the schedule; on a busy machine they may take more.
    if let Some(seconds) = told["critical_path_s"].as_f64() {
        assert!((0.1..=told["summary"]["wall_s"].as_f64().unwrap()).contains(&seconds), "{told}");
    }
    assert_eq!(told["results"], "out/results.jsonl");

    let summary = &told["summary"];
    assert_eq!(
        keys(summary),
        [
            "best_by_iteration",
            "best_of_n",
            "failed",
            "first_sample",
            "fruitless",
            "iterations",
            "simulated",
            "succeeded",
            "truncated",
            "usage",
            "wall_s"
        ]
    );
    assert_eq!((&summary["succeeded"], &summary["failed"]), (&json!(3), &json!(0)));
    assert_eq!((&summary["iterations"], &summary["fruitless"]), (&json!(6), &json!(0)));
    assert_eq!(summary["simulated"], true);
    let best: Vec<f64> = serde_json::from_value(summary["best_by_iteration"].clone()).unwrap();
    assert_eq!((best.len(), summary["best_of_n"].as_f64()), (3, Some(best[0])));
    assert!(summary["first_sample"].as_f64().unwrap() <= best[0]);
    assert!(best[0] <= best[1] && best[1] <= best[2], "{best:?}");
    assert_eq!(summary["usage"]["requests"], 21);
    let by = &summary["usage"]["by_purpose"];
    assert_eq!(keys(by), ["gradient", "loss", "sample", "update"]);
    assert_eq!((&by["sample"]["requests"], &by["update"]["requests"]), (&json!(3), &json!(6)));
    assert!(summary["wall_s"].as_f64().unwrap() > 0.0);

    let sent = &told["sent"];
    assert_eq!((&sent["requests"], &sent["errors"]), (&json!(21), &json!(0)));
    assert_eq!(sent["usage"], summary["usage"]["tokens"]);

    // The means are those of the results.
    let results = json_lines(&read(folder.path().join("out/results.jsonl")));
    let scores = results.iter().map(|line| line["best"]["score"].as_f64().unwrap());
    assert!((scores.sum::<f64>() / 3.0 - best[2]).abs() < 1e-12);
}
