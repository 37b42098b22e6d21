//! Studies at equal budgets, and over lists of pairs, edits and prompt packs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tpo::prompts::default_pack;

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

/// A directory with the default update in other words, and its path.
pub(super) fn wording(folder: &Path, name: &str, words: &str) -> PathBuf {
    let pack = folder.join(name);
    std::fs::create_dir_all(&pack).unwrap();
    let text = default_pack().source("update_system").unwrap().to_owned();
    std::fs::write(pack.join("update_system.hbs"), format!("{text}\n{words}\n")).unwrap();
    pack
}

/// Wordings are a list like any other. Best-of-N, which they do not concern, is run once.
#[test]
fn wordings_are_compared() {
    let folder = folder();
    queries(folder.path(), 2);
    wording(folder.path(), "packs/brief", "Be brief.");
    let given = ["--data", "queries.json", "--out", "out", "--seeds", "1"];
    let modes = ["--modes", "tpo,revision,bon"];
    // A study with one wording grows by another.
    run(folder.path(), &[&given[..], &modes].concat()).with_code(0);
    let packs = ["--prompts", "default,packs/brief", "--resume"];
    let ended = run(folder.path(), &[&given[..], &modes, &packs].concat()).with_code(0);
    assert_eq!(ended.err.matches(" is finished").count(), 4, "{}", ended.err);
    let shown = ended.out;
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
    let (_, paired) = shown.split_once("from the prompts default, all else equal\n").unwrap();
    let paired: Vec<&str> = paired.lines().take(4).collect();
    assert!(paired[1].starts_with("tpo-brief "), "{paired:?}");
    assert!(paired[2].starts_with("revision-brief "), "{paired:?}");
    assert!(paired[3].starts_with("requests sent"), "no other row: {shown}");

    let out = folder.path().join("out");
    let cells: Vec<String> = results(&out).into_iter().map(|(cell, _)| cell).collect();
    let expected = [
        "bon-n15-t0.7-s1",
        "bon-n5-t0.7-s1",
        "revision-brief-d2-n5-t0.7-s1",
        "revision-d2-n5-t0.7-s1",
        "tpo-brief-d2-n5-t0.7-s1",
        "tpo-d2-n5-t0.7-s1",
        "table",
    ];
    assert_eq!(cells, expected);
    let json = |path: &Path| serde_json::from_str::<Value>(&read(path)).unwrap();
    let study = json(&out.join("study.json"));
    for (number, cell, label) in [(0, "tpo", "default"), (1, "tpo-brief", "brief")] {
        let pack = &study["grid"]["prompts"][number];
        assert_eq!(pack["label"], label);
        let config = json(&out.join(format!("{cell}-d2-n5-t0.7-s1/config.json")));
        assert_eq!(pack["sha256"], config["prompts"], "as the run has it");
    }
    let csv = read(out.join("study.csv"));
    assert!(
        csv.lines().nth(2).unwrap().starts_with("tpo-brief,tpo,best-worst,0,brief,2,"),
        "{csv}"
    );

    // A single run with the pack comes to the same.
    let mut single = program(folder.path());
    single.args(["run", "--data", "queries.json", "--seed", "1", "--out", "one"]);
    Running::start({
        single.args(["--prompts", "packs/brief"]);
        single
    })
    .end()
    .with_code(0);
    let one = read(folder.path().join("one/results.jsonl"));
    assert_eq!(one, read(out.join("tpo-brief-d2-n5-t0.7-s1/results.jsonl")));

    let before = results(&out);
    wording(folder.path(), "packs/brief", "Be very brief.");
    run(folder.path(), &[&given[..], &modes, &packs].concat())
        .refused(&["the wording of the prompts: brief has changed"]);
    run(folder.path(), &[&given[..], &modes, &["--resume"]].concat())
        .refused(&["prompts: default,brief then, default now", "the grid had tpo-brief-d2"]);
    assert_eq!(results(&out), before);
}

/// What cannot be compared is refused before anything is written.
#[test]
fn wordings_that_cannot_be_compared_are_named() {
    let folder = folder();
    for name in ["a/brief", "b/brief", "default", "two words"] {
        wording(folder.path(), name, &format!("Words of {name}."));
    }
    wording(folder.path(), "copy", "Words of a/brief.");
    let judge = wording(folder.path(), "judge", "Words of judge.");
    std::fs::write(judge.join("reward_pointwise_system.hbs"), "Grade it.").unwrap();
    for (packs, words) in [
        ("a/brief,b/brief", &["prompts", "another pack named brief"][..]),
        ("default,./default", &["prompts", "another pack named default"]),
        ("two words", &["prompts", "two words"]),
        ("a/brief,copy", &["brief and copy with the same texts"]),
        ("default,judge", &["another reward_pointwise_system in judge than in default"]),
        ("default,none", &["none: cannot be read"]),
        ("default,compact", &["prompts", "the simulation"]),
    ] {
        run(folder.path(), &["--out", "out", "--prompts", packs]).refused(words);
        assert!(!folder.path().join("out").exists());
    }
}

/// Studies of earlier versions have their one wording among the settings that their runs share.
#[test]
fn a_study_that_began_before_packs_were_compared_goes_on() {
    let folder = folder();
    queries(folder.path(), 1);
    let given = ["--data", "queries.json", "--out", "out", "--modes", "tpo", "--seeds", "1"];
    run(folder.path(), &given).with_code(0);
    let path = folder.path().join("out/study.json");
    let mut study: Value = serde_json::from_str(&read(&path)).unwrap();
    let prompts = study["grid"].as_object_mut().unwrap().remove("prompts").unwrap();
    study["shared"]["prompts"] = prompts[0]["sha256"].clone();
    std::fs::write(&path, study.to_string()).unwrap();
    let ended = run(folder.path(), &[&given[..], &["--resume"]].concat()).with_code(0);
    assert!(ended.err.contains("tpo-d2-n5-t0.7-s1 is finished"), "{}", ended.err);
    study["shared"]["prompts"] = "0".repeat(64).into();
    std::fs::write(&path, study.to_string()).unwrap();
    run(folder.path(), &[&given[..], &["--resume"]].concat())
        .refused(&["the wording of the prompts: default has changed"]);
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
