//! Studies whose cells a benchmark grades.

use serde_json::Value;

use super::{bench, dialogues, end, folder, program, put, read};

/// Each cell is graded as a run of these settings alone would be, and graded only once.
#[test]
fn cells_are_graded_as_single_runs() {
    let folder = folder();
    let folder = folder.path();
    put(folder, "hh.jsonl", dialogues(6));
    let study = |more: &[&str]| {
        let mut command = program(folder);
        command.args(["study", "--bench", "hh", "--data", "hh.jsonl", "--subset", "3"]);
        command.args(["--modes", "tpo,resample", "--seeds", "3,4", "--out", "study"]).args(more);
        end(command).with_code(0)
    };
    let shown = study(&[]).out;
    let figures: Vec<&str> = shown.lines().filter(|line| line.contains(", ours")).collect();
    assert_eq!(figures.len(), 4 * 2, "{shown}");

    let again: Value = serde_json::from_str(&study(&["--resume", "--json"]).out).unwrap();
    assert_eq!(again["sent"]["requests"], 0);
    let graded = again["bench"].as_object().unwrap();
    assert_eq!(graded.len(), 4);
    for (cell, report) in graded {
        let file = read(folder.join("study").join(cell).join("bench/report.json"));
        assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), *report);
        assert!(folder.join("study").join(cell).join("bench/pairs.jsonl").is_file());
    }

    end(bench(folder, "hh", "hh.jsonl", ["--subset", "3", "--seed", "3"])).with_code(0);
    let alone: Value = serde_json::from_str(&read(folder.join("out/bench/report.json"))).unwrap();
    assert_eq!(alone["ours"], graded["tpo-d2-n5-t0.7-s3"]["ours"]);
}

#[test]
fn mistakes_are_named_before_anything_is_written() {
    let folder = folder();
    let folder = folder.path();
    put(folder, "hh.jsonl", dialogues(2));
    for (arguments, words) in [
        (&["--grade", "sim"][..], &["--bench"][..]),
        (&["--bench", "hh"], &["--data"]),
        (&["--bench", "hh", "--data", "hh.jsonl", "--judge", "sim"], &["--judge", "nothing"]),
        (&["--bench", "math500", "--data", "hh.jsonl"], &["hh.jsonl", "problem"]),
        (&["--bench", "hh", "--data", "hh.jsonl", "--grade", "nothing"], &["nothing"]),
    ] {
        let mut command = program(folder);
        command.arg("study").args(arguments).args(["--out", "study"]);
        let ended = end(command).with_code(2);
        assert!(words.iter().all(|word| ended.err.contains(word)), "{}", ended.err);
        assert!(!folder.join("study").exists());
    }
}
