//! `tpo study`.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use textgrad_tests::fake_server::{FakeServer, Route};

use super::campaign::whole_lines;
use super::kill::answered;
use super::{
    Ended, PATIENCE, Running, folder, pointed_at, program, queries, quiet, read, simulation,
};

const QUERIES: usize = 4;
const GRID: [&str; 8] = [
    "--modes",
    "tpo,revision,shuffled,bon",
    "--iterations",
    "0,1,2",
    "--samples",
    "3",
    "--seeds",
    "1,2",
];
/// Three modes with three depths, and best-of-N with as many answers as each, two seeds.
const CELLS: usize = (3 * 3 + 3) * 2;

fn study(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program(folder);
    command.arg("study").args(arguments);
    command
}

pub(super) fn run(folder: &Path, arguments: &[&str]) -> Ended {
    Running::start(study(folder, arguments)).end()
}

/// A study of `queries.json` against a server, into the folder `out`.
fn over_http(folder: &Path, server: &FakeServer, more: &[&str]) -> Command {
    let mut command = study(folder, &["--data", "queries.json", "--out", "out"]);
    command.args(GRID).args(pointed_at(server)).args(more);
    command
}

/// The results of all cells, and the table.
pub(super) fn results(folder: &Path) -> Vec<(String, String)> {
    let mut cells: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let results = read(entry.path().join("results.jsonl"));
            (entry.file_name().into_string().unwrap(), results)
        })
        .collect();
    cells.sort();
    cells.push(("table".to_owned(), read(folder.join("study.csv"))));
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cells_are_what_single_runs_are_and_pay_once_for_what_they_share() {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().start().await.unwrap();
    let ended = Running::start(over_http(folder.path(), &server, &["--json"])).end().with_code(0);
    let found = results(&folder.path().join("out"));
    assert_eq!(found.len(), CELLS + 1);
    // For each seed and query: a first draw; twice loss, gradient and update for tpo and for revision;
    // twice an update with the critique of another, which tpo has asked for; twice best-of-N with more answers.
    let chats = server.stats().route(Route::Chat);
    assert_eq!(chats.requests, 2 * QUERIES as u64 * (1 + 6 + 6 + 2 + 2));
    assert_eq!((chats.paid_twice, server.stats().route(Route::Classify).paid_twice), (0, 0));
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["sent"]["requests"], chats.requests);
    let rows = report["table"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), CELLS / 2, "seeds are put together");
    assert!(rows.iter().all(|row| row["searches"] == 2 * QUERIES && row["failed"] == 0));
    let row = |mode: &str, depth: u64, samples: u64| {
        let is = |row: &&Value| {
            row["mode"] == mode && row["iterations"] == depth && row["samples"] == samples
        };
        rows.iter().find(is).unwrap()
    };
    assert_eq!(
        (&row("tpo", 2, 3)["calls"], &row("tpo", 2, 3)["answers"]),
        (&7.0.into(), &9.0.into())
    );
    assert_eq!(
        (&row("shuffled", 2, 3)["calls"], &row("bon", 0, 3)["calls"]),
        (&9.0.into(), &1.0.into())
    );
    assert_eq!(row("tpo", 0, 3)["reward"], row("revision", 0, 3)["reward"]);
    // Paired with best-of-N at an equal number of answers.
    for (mode, depth) in [("tpo", 2), ("shuffled", 1)] {
        let (own, bon) = (row(mode, depth, 3), row("bon", 0, 3 * (depth + 1)));
        assert_eq!(own["answers"], bon["answers"]);
        let mean = |row: &Value| row["reward"]["mean"].as_f64().unwrap();
        let ahead = own["difference_from_bon"]["mean"].as_f64().unwrap();
        assert!((ahead - (mean(own) - mean(bon))).abs() < 1e-9, "{own} {bon}");
    }

    // A single run comes to the same, with the same figures.
    for (mode, name) in [("tpo", "tpo-d1-n3-t0.7-s2"), ("shuffled", "shuffled-d1-n3-t0.7-s2")] {
        let mut single = program(folder.path());
        single.args(["run", "--data", "queries.json", "--mode", mode, "--iterations", "1"]);
        single.args(["--samples", "3", "--seed", "2", "--out", mode]).args(pointed_at(&server));
        Running::start(single).end().with_code(0);
        let cell = found.iter().find(|(cell, _)| cell == name).unwrap();
        assert_eq!(read(folder.path().join(mode).join("results.jsonl")), cell.1);
    }
    // What reads runs reads them.
    for folders in [vec!["out".to_owned()], listed(&folder.path().join("out"))] {
        let mut report = program(folder.path());
        report.arg("report").args(&folders).args(["-o", "page.html", "--force"]);
        Running::start(report).end().with_code(0);
        let page = read(folder.path().join("page.html"));
        assert!(page.contains("shuffled-d2-n3-t0.7-s1") && page.contains("bon-n3-t0.7-s2"));
    }
    let mut verify = program(folder.path());
    verify.args(["verify", "out/shuffled-d2-n3-t0.7-s1"]);
    Running::start(verify).end().with_code(0);
}

/// As a shell has `out/*`.
fn listed(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_is_killed_is_continued_and_finished_cells_are_left_alone() {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder.path(), &server, &[])).end().with_code(0);
    let whole = results(&folder.path().join("out"));
    let all: u64 = [Route::Chat, Route::Classify]
        .map(|route| server.stats().route(route).requests)
        .iter()
        .sum();
    for moment in [1, all / 3, all - 40] {
        let folder = super::folder();
        queries(folder.path(), QUERIES);
        let server = simulation().latency(Duration::from_millis(2)).start().await.unwrap();
        server.answer_at_most(moment + 4);
        let mut running = Running::start(over_http(folder.path(), &server, &[]));
        server.ended(moment).await;
        running.kill();
        assert_eq!(running.end().code, None);
        quiet(&server).await;
        server.answer_at_most(u64::MAX);
        assert!(!folder.path().join("out/study.csv").exists());
        let begun = over_http(folder.path(), &server, &["--resume", "--concurrency", "2"]);
        Running::start(begun).end().with_code(0);
        assert_eq!(results(&folder.path().join("out")), whole, "killed after {moment}");
        // No more than what was under way when it died.
        assert!(server.stats().route(Route::Chat).paid_twice <= 8);
        let before = server.stats().route(Route::Chat).requests;
        let again = over_http(folder.path(), &server, &["--resume"]);
        let again = Running::start(again).end().with_code(0);
        assert_eq!(server.stats().route(Route::Chat).requests, before, "nothing is asked again");
        assert_eq!(again.err.matches(" is finished").count(), CELLS, "{}", again.err);
        assert_eq!(results(&folder.path().join("out")), whole);
    }
}

/// How many answered requests the journals of all cells have: none twice, for cells share answers.
fn kept(study: &Path) -> u64 {
    let cells = std::fs::read_dir(study).into_iter().flatten();
    let journals = cells.map(|cell| cell.unwrap().path().join("journal.jsonl"));
    let lines: Vec<Value> = journals.flat_map(|path| whole_lines(&path)).collect();
    let keys = |kind: &'static str, name| -> HashSet<String> {
        let lines = lines.iter().filter(|line| line["type"] == kind);
        lines.map(|line| line[name].to_string()).collect()
    };
    let (calls, in_parts) = (keys("call", "key"), keys("choice", "call"));
    let whole = calls.difference(&in_parts).count();
    (whole + keys("choice", "key").len() + keys("score", "key").len()) as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_is_killed_after_any_answer_asks_for_none_again() {
    let grid = ["--modes", "tpo,shuffled", "--iterations", "1", "--samples", "3", "--seeds", "1"];
    let begin = |folder: &Path, server: &FakeServer, more: &[&str]| {
        let mut command = study(folder, &["--data", "queries.json", "--out", "out"]);
        command.args(grid).args(pointed_at(server)).args(more);
        Running::start(command)
    };
    let delivered = |server: &FakeServer| {
        [Route::Chat, Route::Classify].map(|route| answered(server, route)).iter().sum::<u64>()
    };
    // A server of one choice: the others are asked for one by one.
    let server = || simulation().max_choices(1).start();
    let whole = folder();
    queries(whole.path(), 3);
    let undisturbed = server().await.unwrap();
    begin(whole.path(), &undisturbed, &[]).end().with_code(0);
    let all = delivered(&undisturbed);
    assert_eq!(kept(&whole.path().join("out")), all);

    for moment in [2, all / 4, all / 2, all - 4] {
        let folder = folder();
        queries(folder.path(), 3);
        let server = server().await.unwrap();
        server.answer_at_most(moment);
        let mut running = begin(folder.path(), &server, &[]);
        server.ended(moment).await;
        let begun = Instant::now();
        while kept(&folder.path().join("out")) < moment {
            assert!(begun.elapsed() < PATIENCE, "not all of {moment} answers are kept");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        running.kill();
        assert_eq!(running.end().code, None);
        quiet(&server).await;
        server.answer_at_most(u64::MAX);
        begin(folder.path(), &server, &["--resume"]).end().with_code(0);
        assert_eq!(delivered(&server), all, "killed after {moment}");
        let (found, expected) = (folder.path().join("out"), whole.path().join("out"));
        assert_eq!(results(&found), results(&expected));
    }
}

/// Kind: Signals | SIGTERM or SIGHUP to a study | running calls finish and are journaled; exit code 130
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_is_interrupted_pays_for_nothing_twice() {
    for (moment, signal) in [(3, "TERM"), (150, "HUP")] {
        let folder = folder();
        queries(folder.path(), QUERIES);
        let server = simulation().latency(Duration::from_millis(5)).start().await.unwrap();
        let running = Running::start(over_http(folder.path(), &server, &["--concurrency", "2"]));
        server.ended(moment).await;
        super::interrupt::send(signal, &running);
        let ended = running.end().with_code(130);
        assert!(ended.err.contains("interrupted in cell"), "{}", ended.err);
        assert!(ended.err.contains("with --out out --resume"), "{}", ended.err);
        quiet(&server).await;
        Running::start(over_http(folder.path(), &server, &["--resume"])).end().with_code(0);
        let (chats, scores) =
            (server.stats().route(Route::Chat), server.stats().route(Route::Classify));
        assert_eq!(chats.requests, 2 * QUERIES as u64 * (1 + 6 + 6 + 2 + 2), "{signal}: {chats:?}");
        assert_eq!((chats.paid_twice, chats.dropped, scores.paid_twice), (0, 0, 0), "{signal}");
    }
}

#[test]
fn a_folder_of_another_study_is_refused_and_a_grid_may_grow() {
    let folder = folder();
    queries(folder.path(), 2);
    let base = ["--data", "queries.json", "--out", "out", "--seeds", "1"];
    let with = |more: &[&str]| run(folder.path(), &[&base[..], more].concat());
    with(&["--modes", "tpo", "--iterations", "1", "--resume"]).refused(&["no study to resume"]);
    with(&["--modes", "tpo", "--iterations", "1"]).with_code(0);
    let settings = read(folder.path().join("out/study.json"));
    with(&["--modes", "tpo", "--iterations", "1"])
        .refused(&["out holds a run already", "--resume"]);
    for (more, words) in [
        (&["--iterations", "2"][..], "the grid had tpo-d1-n5-t0.7-s1"),
        (&["--iterations", "1", "--temperature", "0.2"], "temperatures: 0.7 then, 0.2 now"),
        (&["--iterations", "1", "--sim-skill", "0.5"], "policy"),
        (&["--iterations", "1", "--limit", "1"], "the queries"),
        (&["--iterations", "1", "--top-p", "0.5"], "top_p"),
        (&["--iterations", "1", "--layout", "continued"], "layout"),
        (&["--iterations", "1", "--critic-temperature", "0.7"], "critic.temperature"),
    ] {
        let refused = with(&[&["--modes", "tpo", "--resume"], more].concat());
        assert!(!refused.err.contains("--extend"), "no study can be: {}", refused.err);
        refused.refused(&["other settings", words]);
        assert_eq!(read(folder.path().join("out/study.json")), settings);
    }
    let grown = with(&["--modes", "tpo,bon", "--iterations", "1,2", "--resume"]).with_code(0);
    let other =
        ["--modes", "tpo,bon,revision", "--iterations", "1,2", "--samples", "3", "--resume"];
    let refused = with(&other);
    assert!(
        refused.err.contains("samples: 5 then, 3 now"),
        "only the axis that lost one: {refused:?}"
    );
    let named = "the grid had tpo-d2-n5-t0.7-s1, tpo-d1-n5-t0.7-s1, bon-n5-t0.7-s1 and 2 more";
    assert!(refused.err.contains(named) && !refused.err.contains("modes:"), "{refused:?}");
    assert_eq!(grown.err.matches(" is finished").count(), 1, "{}", grown.err);
    assert_eq!(results(&folder.path().join("out")).len(), 6);
    assert!(grown.out.contains("study (SIMULATION)"), "{}", grown.out);
    assert!(grown.err.contains("SIMULATION"), "{}", grown.err);
    assert!(
        read(folder.path().join("out/study.csv"))
            .lines()
            .all(|line| line.ends_with(",true") || line.ends_with(",simulated"))
    );
}

#[test]
fn mistakes_are_named_before_anything_is_written() {
    let folder = folder();
    for (arguments, words) in [
        (&["--modes", "tpo,best"][..], &["best", "shuffled"][..]),
        (&["--samples", "3,0"], &["samples", "at least 1"]),
        (&["--temperatures", "0.7,9"], &["temperature", "from 0 to 2"]),
        (&["--iterations", "one"], &["one"]),
        (&["--modes", "tpo,direct", "--layout", "continued"], &["layout", "direct"]),
        (&["--extend"], &["extend", "--resume"]),
    ] {
        run(folder.path(), &[&["--out", "out"], arguments].concat()).refused(words);
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
fn the_temperature_of_the_critic_holds_for_every_cell() {
    let folder = folder();
    queries(folder.path(), 1);
    let given = ["--data", "queries.json", "--out", "out", "--modes", "tpo", "--seeds", "1"];
    let own = ["--temperatures", "0.7,1", "--critic-temperature", "0.2"];
    run(folder.path(), &[&given[..], &own].concat()).with_code(0);
    for (cell, temperature) in [("tpo-d2-n5-t0.7-s1", 0.7), ("tpo-d2-n5-t1-s1", 1.0)] {
        let config = read(folder.path().join("out").join(cell).join("config.json"));
        let search = &serde_json::from_str::<Value>(&config).unwrap()["search"];
        assert_eq!(search["sampling"]["temperature"], temperature);
        assert_eq!(search["critic"]["temperature"], 0.2);
    }
    let all = ["--temperatures", "0.7,1", "--resume"];
    run(folder.path(), &[&given[..], &all].concat()).refused(&["critic.temperature: 0.2 then"]);
}

#[test]
fn rewards_that_cannot_be_compared_are_warned_of() {
    let folder = folder();
    queries(folder.path(), 1);
    let given = ["--data", "queries.json", "--modes", "tpo,bon", "--seeds", "1", "--reward"];
    let warned = |reward: &str| {
        let ended = run(folder.path(), &[&given[..], &[reward]].concat());
        ended.err.contains("the rewards are relative")
    };
    assert!(warned("pairwise-judge") && !warned("judge") && !warned("sim"));
}

#[test]
fn settings_of_a_file_are_lists_of_one_unless_flags_give_them() {
    let folder = folder();
    queries(folder.path(), 1);
    let file = "[search]\nmode = \"bon\"\niterations = 1\nsamples = 2\nseed = 9\n[sampling]\ntemperature = 0.5\n";
    std::fs::write(folder.path().join("study.toml"), file).unwrap();
    let cells = |out: &str, more: &[&str]| {
        let given = ["--config", "study.toml", "--data", "queries.json", "--out", out];
        run(folder.path(), &[&given[..], more].concat()).with_code(0);
        let cells = results(&folder.path().join(out)).into_iter().map(|(name, _)| name);
        cells.filter(|name| name != "table").collect::<Vec<_>>()
    };
    assert_eq!(cells("file", &[]), ["bon-n2-t0.5-s9"]);
    let flags = ["--modes", "tpo", "--seeds", "1,2"];
    assert_eq!(cells("flags", &flags), ["tpo-d1-n2-t0.5-s1", "tpo-d1-n2-t0.5-s2"]);
}
