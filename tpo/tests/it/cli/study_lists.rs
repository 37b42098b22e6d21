//! Studies at equal budgets, and over lists of pairs and edits.

use std::collections::HashSet;

use serde_json::Value;

use super::study::{results, run};
use super::{Running, folder, program, queries, read};

/// Cells of one budget have no depth; what reads runs reads them.
#[test]
fn modes_are_compared_at_equal_tokens() {
    let folder = folder();
    queries(folder.path(), 2);
    let given = ["--data", "queries.json", "--out", "out", "--seeds", "1", "--equal"];
    let modes = ["--modes", "tpo,resample,tournament,shuffled"];
    let ended = run(folder.path(), &[&given[..], &["tokens:14000"], &modes, &["--json"]].concat());
    let report: Value = serde_json::from_str(&ended.with_code(0).out).unwrap();
    assert_eq!(report["table"]["equal"], serde_json::json!({ "tokens": 14000 }));
    for row in report["table"]["rows"].as_array().unwrap() {
        let (left, made) =
            (row["budget_left"].as_f64().unwrap(), row["mean_iterations"].as_f64().unwrap());
        assert!((-0.1..0.5).contains(&left) && made >= 1.0, "{row}");
        assert_eq!(row["difference_from_bon"].is_null(), row["mode"] == "resample", "{row}");
    }
    let before = results(&folder.path().join("out"));
    for (cell, _) in before.iter().filter(|(cell, _)| cell != "table") {
        assert!(cell.contains("-tokens-14000-n5-"), "{cell}");
        let mut verify = program(folder.path());
        verify.args(["verify", &format!("out/{cell}")]);
        Running::start(verify).end().with_code(0);
    }
    let ended =
        run(folder.path(), &[&given[..], &["tokens:14000"], &modes, &["--resume"]].concat());
    let shown = ended.with_code(0).out;
    assert_eq!(results(&folder.path().join("out")), before);
    assert!(shown.contains("each search up to tokens:14000"), "{shown}");
    assert!(
        shown.contains("difference in reward from best-of-N (resample) at equal budget"),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    let other =
        run(folder.path(), &[&given[..], &["tokens:13000"], &modes, &["--resume"]].concat());
    other.refused(&["the grid had", "tpo-tokens-14000-n5-t0.7-s1"]);
    let mut report = program(folder.path());
    report.args(["report", "out", "-o", "page.html"]);
    Running::start(report).end().with_code(0);
    assert!(read(folder.path().join("page.html")).contains("tournament-tokens-14000-n5-t0.7-s1"));
}

/// Joint against separate feedback, and edits against whole texts, are lists like any other.
#[test]
fn pairs_and_edits_are_compared() {
    let folder = folder();
    queries(folder.path(), 2);
    let lists = ["--modes", "tpo,resample", "--pairs", "best-worst,all", "--edits", "0,6"];
    let given = ["--data", "queries.json", "--out", "out", "--seeds", "1"];
    let shown = run(folder.path(), &[&given[..], &lists].concat()).with_code(0).out;
    assert!(shown.contains("paired difference in reward from tpo"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    let row = |line: &&str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let rows: Vec<String> = shown.lines().map(|line| row(&line)).collect();
    for expected in ["tpo-e6 2 5", "tpo-all 2 5", "tpo-all-e6 2 5", "resample 2 5"] {
        assert!(rows.iter().any(|row| row == expected), "{shown}");
    }
    let cells = results(&folder.path().join("out"));
    for cell in ["tpo", "tpo-e6", "tpo-all", "tpo-all-e6", "resample"] {
        let name = format!("{cell}-d2-n5-t0.7-s1");
        assert!(cells.iter().any(|(cell, _)| *cell == name), "{name}");
    }
    let more = ["--pairs", "best-worst,all,median", "--edits", "0,6", "--resume"];
    let more = [&given[..], &["--modes", "tpo,resample"], &more].concat();
    run(folder.path(), &more).with_code(0);
    assert_eq!(results(&folder.path().join("out")).len(), cells.len() + 2);
}

/// The example runs every mode that can be compared so.
#[test]
fn the_example_lists_all_modes() {
    let script = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/equal_tokens.sh"));
    let lists = script.lines().filter_map(|line| line.strip_prefix("modes="));
    let listed: HashSet<&str> = lists.flat_map(|list| list.split(',')).collect();
    let all: HashSet<&str> = tpo::Mode::ALL.iter().map(|mode| mode.as_str()).collect();
    assert_eq!(
        all.symmetric_difference(&listed).copied().collect::<HashSet<_>>(),
        ["bon", "$modes"].into()
    );
}
