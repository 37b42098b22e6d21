//! `tpo report`, `compare`, `verify` and `graph`.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};

use super::{Ended, Running, folder, program, queries, read, run};

fn ask<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Ended {
    let mut command = program(folder);
    command.args(arguments);
    Running::start(command).end()
}

#[test]
fn runs_are_reported_compared_verified_and_drawn() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 3);
    run(folder, &["--data", "queries.json", "--out", "tpo"]).with_code(0);
    let bon = ["--data", "queries.json", "--out", "bon", "--mode", "bon", "--samples", "20"];
    run(folder, &bon).with_code(0);

    let reported = ask(folder, ["report", "tpo", "bon", "--out", "report"]).with_code(0);
    assert!(reported.out.contains("report.html") && reported.err.contains("SIMULATION"));
    let html = read(folder.join("report/report.html"));
    for name in [
        "reward-by-iteration",
        "reward-by-budget",
        "best-of-n",
        "scores",
        "stability",
        "win-rates",
        "cost",
    ] {
        assert!(html.contains(&format!("<section id=\"{name}\"")), "{name}");
        let svg = read(folder.join(format!("report/{name}.svg")));
        assert!(svg.starts_with("<svg") && svg.contains("SIMULATION"), "{svg}");
        assert!(read(folder.join(format!("report/{name}.csv"))).lines().count() > 1, "{name}");
    }
    // The parameters are settings.
    let pflops = |file: &str| {
        let csv = read(folder.join(file));
        let row = csv.lines().nth(1).unwrap().to_owned();
        row.split(',').nth(7).unwrap().parse::<f64>().unwrap()
    };
    let smaller =
        ["report", "tpo", "--out", "small", "--policy-params", "7e9", "--reward-params", "0.8e9"];
    ask(folder, smaller).with_code(0);
    let ratio = pflops("report/cost.csv") / pflops("small/cost.csv");
    assert!((ratio - 10.0).abs() < 1e-9, "{ratio}");
    for page in ["page.html", "new directory/page.html"] {
        ask(folder, ["report", "tpo", "--out", page]).with_code(0);
        assert!(read(folder.join(page)).contains("<!doctype html>"));
    }

    let compared = ask(folder, ["compare", "tpo", "bon", "--json"]).with_code(0);
    let compared: Value = serde_json::from_str(&compared.out).unwrap();
    let reward = &compared["reward"];
    let sum: u64 =
        ["wins", "ties", "losses"].iter().map(|name| reward[name].as_u64().unwrap()).sum();
    assert_eq!((compared["queries"].as_u64(), sum), (Some(3), 3), "{compared}");
    // 20 answers against 15: also paired at 15.
    let equal = &compared["equal_budget"];
    let better = |pair: &Value| pair["difference"]["mean"].as_f64().unwrap();
    assert!(better(equal) >= better(reward), "{compared}");
    let settings = compared["settings"].as_array().unwrap();
    let names: Vec<&str> =
        settings.iter().map(|found| found["setting"].as_str().unwrap()).collect();
    for name in ["search.mode", "search.samples"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let depth = settings.iter().find(|found| found["setting"] == "search.iterations").unwrap();
    assert_eq!((&depth["a"], &depth["b"]), (&json!(2), &json!(0)), "best-of-N has no iterations");
    let told = ask(folder, ["compare", "tpo", "bon"]).with_code(0);
    for words in ["settings that differ", "search.samples", "at an equal number of answers:"] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    // It is that of `search.samples`.
    assert!(!told.out.contains("search.sampling.n"), "{}", told.out);
    assert!(told.err.contains("warning: 3 queries are too few"), "{}", told.err);
    let same = ask(folder, ["compare", "tpo", "tpo"]).with_code(0);
    assert!(same.out.contains("all settings are equal"), "{}", same.out);
    assert!(!same.out.contains("equal number of answers"), "{}", same.out);
    assert!(told.out.contains("win rate of A") && told.out.contains("SIMULATION"), "{}", told.out);

    let sound = ask(folder, ["verify", "tpo"]).with_code(0);
    assert!(sound.out.starts_with("sound (SIMULATION): 3 results"), "{}", sound.out);
    let drawn = ask(folder, ["graph", "tpo", "1", "--dot"]).with_code(0);
    assert!(drawn.out.contains("digraph") && drawn.out.contains("SIMULATION"), "{}", drawn.out);
    ask(folder, ["graph", "tpo", "1", "--out", "graph.html"]).with_code(0);
    assert!(read(folder.join("graph.html")).contains("wood number 1"));

    // A score that nobody gave.
    let path = folder.join("tpo/results.jsonl");
    let results = read(&path);
    std::fs::write(&path, results.replacen("\"score\":", "\"score\":9", 1)).unwrap();
    let unsound = ask(folder, ["verify", "tpo"]).with_code(1);
    assert!(unsound.out.contains("NOT SOUND"), "{}", unsound.out);
}

#[test]
fn a_graph_is_found_by_the_id_of_its_query() {
    let folder = folder();
    let folder = folder.path();
    let data = "{\"id\": \"u-1\", \"prompt\": \"Why?\"}\n{\"id\": 17, \"prompt\": \"How so?\"}\n\
                {\"uid\": \"0\", \"prompt\": \"Who?\"}\n{\"id\": \"u-3\", \"prompt\": \"Where?\"}\n\
                {\"id\": \"u-3\", \"prompt\": \"When?\"}\n";
    std::fs::write(folder.join("ids.jsonl"), data).unwrap();
    run(folder, &["--data", "ids.jsonl", "--out", "ids"]).with_code(0);
    for (named, text) in [("u-1", "Why?"), ("17", "How so?"), ("1", "How so?"), ("0", "Why?")] {
        let drawn = ask(folder, ["graph", "ids", named, "--dot"]).with_code(0);
        assert!(drawn.out.contains(text), "{named}: {}", drawn.out);
    }
    ask(folder, ["graph", "ids", "u-2"])
        .refused(&["from 0 to 4, or its id, got \"u-2\"", "no result"]);
    ask(folder, ["graph", "ids", "u-3"]).refused(&["\"u-3\", which 2 have", "index: 3, 4"]);
    ask(folder, ["graph", "ids", "18"]).refused(&["no result for query 18"]);
}

#[test]
fn what_cannot_be_reported_is_named() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 2);
    run(folder, &["--data", "queries.json", "--out", "a"]).with_code(0);
    run(folder, &["--data", "queries.json", "--out", "b", "--limit", "1"]).with_code(0);
    for command in ["report", "verify"] {
        ask(folder, [command, "none"]).refused(&["none holds no run", "--out"]);
    }
    std::fs::create_dir(folder.join("killed")).unwrap();
    std::fs::copy(folder.join("a/config.json"), folder.join("killed/config.json")).unwrap();
    ask(folder, ["report", "killed"]).refused(&["killed has no results.jsonl", "--resume"]);
    ask(folder, ["compare", "a", "b"]).refused(&["different queries"]);
    let ended = ask(folder, ["graph", "a", "7"]);
    ended.refused(&["no result for query 7: expected an index from 0 to 1; tpo run --extend adds"]);
    // A run that is not finished.
    let path = folder.join("b/config.json");
    std::fs::write(&path, read(&path).replace("\"queries\": 1", "\"queries\": 4")).unwrap();
    let ended = ask(folder, ["graph", "b", "3"]);
    ended.refused(&["expected an index from 0 to 0; the run is not finished, tpo run --resume"]);
    ask(folder, ["report", "a", "--level", "2"]).refused(&["above 0 and below 1"]);
    ask(folder, ["report", "a", "--policy-params", "0"]).refused(&["--policy-params"]);
    ask(folder, ["graph", "a", "0", "--dot", "--html"]).refused(&["cannot be used with"]);
}

#[test]
fn only_files_of_an_earlier_report_are_replaced_without_force() {
    let folder = folder();
    let folder = folder.path();
    run(folder, &["--limit", "1", "--out", "a"]).with_code(0);
    let own = "my figures";
    for name in ["page.html", "graph.html", "export.jsonl", "mine/queries.csv", "mine/cost.svg"] {
        std::fs::create_dir_all(folder.join("mine")).unwrap();
        std::fs::write(folder.join(name), own).unwrap();
    }
    for (arguments, name) in [
        (&["report", "a", "--out", "page.html"][..], "page.html"),
        (&["graph", "a", "0", "--out", "graph.html"], "graph.html"),
        (&["export", "a", "--out", "export.jsonl"], "export.jsonl"),
        (&["report", "a", "--out", "mine"], "mine/cost.svg"),
    ] {
        let refused = ask(folder, arguments);
        refused.refused(&["--out: expected a file that does not exist yet, or --force", name]);
        assert_eq!(read(folder.join(name)), own);
    }
    assert!(!folder.join("mine/report.html").exists());
    for arguments in [
        &["report", "a", "--out", "page.html"][..],
        &["graph", "a", "0", "--out", "graph.html"],
        &["export", "a", "--out", "export.jsonl"],
        &["report", "a", "--out", "mine"],
    ] {
        ask(folder, [arguments, &["--force"]].concat()).with_code(0);
    }
    for name in ["page.html", "graph.html", "export.jsonl", "mine/queries.csv", "mine/cost.svg"] {
        assert_ne!(read(folder.join(name)), own, "{name}");
    }
    // A page of the same command is replaced, one of another is not.
    for (arguments, name) in [
        (&["report", "a", "--out", "page.html"][..], "page.html"),
        (&["graph", "a", "0", "--out", "graph.html"], "graph.html"),
    ] {
        let page = read(folder.join(name));
        std::fs::write(folder.join(name), format!("{page}<!-- older -->")).unwrap();
        ask(folder, arguments).with_code(0);
        assert_eq!(read(folder.join(name)), page);
    }
    for arguments in [
        &["report", "a", "--out", "graph.html"][..],
        &["graph", "a", "0", "--out", "page.html"],
        &["graph", "a", "0", "--dot", "--out", "graph.html"],
    ] {
        ask(folder, arguments).refused(&["--force"]);
    }
    // A directory with a report gets the new one.
    std::fs::write(folder.join("mine/queries.csv"), own).unwrap();
    ask(folder, ["report", "a", "--out", "mine"]).with_code(0);
    assert_ne!(read(folder.join("mine/queries.csv")), own);
    #[cfg(unix)]
    ask(folder, ["graph", "a", "0", "--dot", "--out", "/dev/null"]).with_code(0);
}

#[test]
fn gains_are_shown_by_a_field_of_the_data() {
    let folder = folder();
    let folder = folder.path();
    let lines = [
        r#"{"prompt":"Why is the sky blue?","kind":"<b>science</b>","level":1}"#,
        r#"{"prompt":"Why does bread rise?","kind":"<b>science</b>","level":2}"#,
        r#"{"prompt":"How do I boil an egg?","kind":"=cooking"}"#,
        r#"{"prompt":"How do I fry an egg?"}"#,
    ];
    std::fs::write(folder.join("q.jsonl"), lines.join("\n")).unwrap();
    run(folder, &["--data", "q.jsonl", "--out", "a"]).with_code(0);
    ask(folder, ["report", "a", "--by", "kind", "--out", "r"]).with_code(0);
    let csv = read(folder.join("r/slices.csv"));
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 3, "{csv}");
    assert!(
        rows[1].starts_with("a,<b>science</b>,2,") && rows[2].starts_with("a,'=cooking,1,"),
        "{csv}"
    );
    let html = read(folder.join("r/report.html"));
    assert!(html.contains("<section id=\"slices\"") && !html.contains("<b>science</b>"));
    ask(folder, ["report", "a", "--out", "plain"]).with_code(0);
    assert!(!folder.join("plain/slices.csv").exists());
    ask(folder, ["report", "a", "--by", "kin"]).refused(&[
        "error: --by: expected a field of the data",
        "\"kin\"",
        "kind, level",
    ]);
}
