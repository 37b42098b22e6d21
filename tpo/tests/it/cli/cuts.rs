//! Answers that are cut to tokens of a tokenizer before they enter a prompt.

use std::path::Path;

use serde_json::{Value, json};

use super::{Ended, Running, folder, json_lines, program, queries, read, run};

/// The tokenizer of docs/configuration.md.
pub(super) fn words(path: &Path) {
    let document = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
    let (_, after) = document.split_once("```json\n").unwrap();
    let json = after.split_once("```").unwrap().0;
    std::fs::write(path, json).unwrap();
}

/// The lines of the document, with another file of queries.
const CUT: [&str; 7] = [
    "--data=queries.json",
    "--truncate",
    "tokens:40",
    "--tokenizer",
    "words.json",
    "--out",
    "runs/cut",
];

fn graph(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = program(folder);
    command.args(["graph", "runs/cut", "0"]).args(arguments);
    Running::start(command).end()
}

#[test]
fn the_example_of_the_document_runs_and_is_resumed_and_drawn() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 2);
    words(&folder.join("words.json"));
    run(folder, &CUT).with_code(0);
    let config: Value = serde_json::from_str(&read(folder.join("runs/cut/config.json"))).unwrap();
    assert_eq!(config["search"]["truncate"], "tokens:40");
    assert_eq!(config["tokenizer"].as_str().unwrap().len(), 64);
    let results = json_lines(&read(folder.join("runs/cut/results.jsonl")));
    let texts = results[0]["trajectory"]["candidates"].as_array().unwrap().iter();
    let long = texts.map(|candidate| candidate["text"].as_str().unwrap());
    assert!(long.max_by_key(|text| text.len()).unwrap().split_whitespace().count() > 40);

    // Wherever it lies, it is the same tokenizer.
    std::fs::rename(folder.join("words.json"), folder.join("moved.json")).unwrap();
    let moved = |text: &&str| if *text == "words.json" { "moved.json" } else { text }.to_owned();
    let again: Vec<String> = CUT.iter().map(moved).chain(["--resume".to_owned()]).collect();
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    run(folder, &again).with_code(0);
    graph(folder, &["--tokenizer", "moved.json", "-o", "graph.html"]).with_code(0);
    assert!(read(folder.join("graph.html")).contains("<html"));
    graph(folder, &[]).refused(&["the tokenizer", "give the tokenizer.json"]);

    let other = read(folder.join("moved.json")).replace("\"?\": 0", "\"?\": 0, \"a\": 1");
    std::fs::write(folder.join("moved.json"), other).unwrap();
    run(folder, &again).refused(&["was run with other settings", "the tokenizer"]);
    graph(folder, &["--tokenizer", "moved.json"]).refused(&["the tokenizer"]);
    run(folder, &[&again[..1], &again[5..]].concat())
        .refused(&["the tokenizer", "search.truncate: \"tokens:40\" then, null now"]);
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let folder = folder();
    let folder = folder.path();
    words(&folder.join("words.json"));
    std::fs::write(folder.join("tokenizer_config.json"), "{\"bos_token\": \"<s>\"}").unwrap();
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--truncate=tokens:5"], &["tokenizer: expected a tokenizer.json beside --truncate"]),
        (&["--tokenizer=words.json"], &["truncate: expected tokens:N"]),
        (&["--truncate=tokens:0", "--tokenizer=words.json"], &["expected chars:N or tokens:N"]),
        (&["--truncate=chars:5", "--tokenizer=words.json"], &["truncate: expected tokens:N"]),
        (
            &["--truncate=tokens:5", "--tokenizer=tokenizer_config.json"],
            &["tokenizer_config.json: expected a tokenizer.json"],
        ),
        (&["--truncate=tokens:5", "--tokenizer=none.json"], &["none.json: cannot be read"]),
        (&["--truncate=many"], &["invalid value 'many'"]),
    ];
    for (arguments, words) in cases {
        run(folder, arguments).refused(words);
    }
}

#[test]
fn a_file_of_settings_has_them_and_shows_them() {
    let folder = folder();
    let folder = folder.path();
    let shown = |text: &str| {
        std::fs::write(folder.join("study.toml"), text).unwrap();
        let mut command = program(folder);
        command.args(["config", "show", "--config", "study.toml", "--json"]);
        Running::start(command).end()
    };
    let ended =
        shown("[search]\ntruncate = \"tokens:300\"\ntokenizer = \"words.json\"\n").with_code(0);
    let settings: Vec<Value> = serde_json::from_str(&ended.out).unwrap();
    for (name, value, line) in
        [("truncate", json!("tokens:300"), 2), ("tokenizer", json!("words.json"), 3)]
    {
        let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
        assert_eq!((&setting["value"], &setting["line"]), (&value, &json!(line)));
    }
    let alone = shown("[search]\ntruncate = \"tokens:300\"\n").with_code(2);
    assert!(alone.err.contains("expected a tokenizer.json"), "{}", alone.err);
    let misspelt = shown("[search]\ntrunkate = \"chars:3\"\n").with_code(2);
    assert!(misspelt.err.contains("study.toml:2: unknown key \"trunkate\""), "{}", misspelt.err);
    assert!(misspelt.err.contains("near: truncate"), "{}", misspelt.err);
}
