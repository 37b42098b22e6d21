//! `tpo export`.

use serde_json::{Value, json};
use textgrad_ops::data::records;

use super::{Ended, Running, folder, json_lines, program, read, run};

fn export(folder: &std::path::Path, arguments: &[&str]) -> Ended {
    let mut command = program(folder);
    command.arg("export").args(arguments);
    Running::start(command).end()
}

fn rows(path: &std::path::Path) -> Vec<Value> {
    let bytes = std::fs::read(path).unwrap();
    let records = records(&path.to_string_lossy(), &bytes, None).unwrap();
    records.into_iter().map(|record| record.value.unwrap()).collect()
}

#[test]
fn pairs_and_answers_of_a_run_are_data_sets() {
    let folder = folder();
    let folder = folder.path();
    let talk = json!({ "id": "b", "messages": [
        { "role": "system", "content": "Be brief." }, { "role": "user", "content": "Why not?" } ] });
    std::fs::write(
        folder.join("q.jsonl"),
        format!("{{\"id\":\"a\",\"prompt\":\"Why?\"}}\n{talk}\n"),
    )
    .unwrap();
    run(folder, &["--data", "q.jsonl", "--out", "out"]).with_code(0);
    let results = json_lines(&read(folder.join("out/results.jsonl")));
    let score = |line: &Value, pick: fn(f64, f64) -> f64| {
        let scores = line["trajectory"]["candidates"].as_array().unwrap().iter();
        scores.map(|candidate| candidate["score"].as_f64().unwrap()).reduce(pick).unwrap()
    };

    for name in ["pairs.jsonl", "pairs.json", "pairs.parquet"] {
        let ended = export(folder, &["out", "--out", name]).with_code(0);
        assert!(
            ended.out.contains("2 rows: ") && ended.err.contains("SIMULATION"),
            "{}",
            ended.out
        );
        let rows = rows(&folder.join(name));
        for (row, line) in rows.iter().zip(&results) {
            assert_eq!(
                row["chosen"],
                json!([{ "role": "assistant", "content": line["best"]["text"] }]),
                "{name}"
            );
            assert_eq!(
                (row["score_chosen"].as_f64(), row["score_rejected"].as_f64()),
                (Some(score(line, f64::max)), Some(score(line, f64::min)))
            );
            assert_eq!((&row["id"], &row["simulated"]), (&line["fields"]["id"], &json!(true)));
        }
        assert_eq!(rows[0]["prompt"], json!([{ "role": "user", "content": "Why?" }]));
        assert_eq!(rows[1]["prompt"], talk["messages"]);
    }

    let ended = export(folder, &["out", "--style", "openrlhf"]).with_code(0);
    let rows_of = json_lines(&ended.out);
    assert!(rows_of[1].get("prompt").is_none());
    let (chosen, rejected) = (&rows_of[1]["chosen"], &rows_of[1]["rejected"]);
    assert_eq!((&chosen[0], &rejected[1]), (&talk["messages"][0], &talk["messages"][1]));
    assert_eq!(chosen[2]["content"], results[1]["best"]["text"]);

    export(folder, &["out", "--rows", "best", "--style", "trl-text", "--out", "best.csv"])
        .with_code(0);
    let best = rows(&folder.join("best.csv"));
    assert_eq!(
        (&best[0]["prompt"], &best[0]["completion"]),
        (&json!("Why?"), &results[0]["best"]["text"])
    );
    let count =
        |of: &str| json_lines(&export(folder, &["out", "--rows", of]).with_code(0).out).len();
    assert_eq!((count("answers"), count("comparisons")), (30, 4));

    // The pairs are queries again.
    run(folder, &["--data", "pairs.parquet", "--out", "again"]).with_code(0);
    let again = json_lines(&read(folder.join("again/results.jsonl")));
    assert_eq!(
        (&again[1]["query"], &again[1]["fields"]["id"]),
        (&results[1]["query"], &json!("b"))
    );
}

/// A file of each format and style is a file of queries again, with the ids of the data.
#[test]
fn data_sets_of_each_style_and_format_are_queries_again() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("q.csv"), "id,prompt\na,\"Why, then?\"\n").unwrap();
    run(folder, &["--data", "q.csv", "--out", "out"]).with_code(0);
    for (rows, style) in
        [("pairs", "trl"), ("pairs", "trl-text"), ("best", "openrlhf"), ("pairs", "openrlhf")]
    {
        for format in ["jsonl", "json", "csv", "tsv", "parquet"] {
            let name = format!("{rows}-{style}.{format}");
            export(folder, &["out", "--rows", rows, "--style", style, "--out", &name]).with_code(0);
            let bytes = std::fs::read(folder.join(&name)).unwrap();
            let queries = tpo::input::parse(&name, bytes).unwrap();
            assert_eq!(queries, ["Why, then?"], "{name}");
            assert_eq!(queries[0].fields()["id"], "a", "{name}");
        }
    }
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let folder = folder();
    for (arguments, words) in [
        (&["none"][..], "none"),
        (
            &["none", "--out", "a.txt"],
            "expected a file that ends in .jsonl, .json, .csv, .tsv or .parquet",
        ),
        (&["none", "--rows", "worst"], "expected pairs, comparisons, best or answers, got worst"),
        (&["none", "--style", "dpo"], "expected trl, trl-text or openrlhf, got dpo"),
    ] {
        let ended = export(folder.path(), arguments).with_code(2);
        assert!(ended.err.contains(words), "{}", ended.err);
    }
}

#[test]
fn the_runs_of_a_study_are_exported_together() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("q.json"), r#"["Why?", "How?"]"#).unwrap();
    let grid = ["--modes", "tpo,revision", "--iterations", "1", "--samples", "3", "--seeds", "1"];
    let mut study = program(folder);
    study.args(["study", "--data", "q.json", "--out", "study"]).args(grid);
    Running::start(study).end().with_code(0);
    let cells = std::fs::read_dir(folder.join("study")).unwrap().map(|entry| entry.unwrap().path());
    let mut cells: Vec<String> = cells
        .filter(|path| path.join("results.jsonl").exists())
        .map(|path| path.display().to_string())
        .collect();
    cells.sort();
    assert!(cells.len() >= 2, "{cells:?}");
    let rows = |arguments: &[&str]| {
        let ended = export(folder, arguments).with_code(0);
        let mut rows: Vec<String> = ended.out.lines().map(str::to_owned).collect();
        rows.sort();
        rows
    };
    let own = rows(&["study", "--rows", "best"]);
    let named: Vec<&str> = cells.iter().map(String::as_str).chain(["--rows", "best"]).collect();
    assert_eq!(own.len(), 2 * cells.len());
    assert_eq!(own, rows(&named));
    // Where one run is expected, its runs are named.
    let mut graph = program(folder);
    graph.args(["graph", "study", "0"]);
    let words = ["expected a run, got a study", "tpo"];
    Running::start(graph).end().refused(&words);
}
