//! Parts of a run, and their merge.

use std::future::ready;
use std::path::Path;

use textgrad_tests::fake_server::{FakeServer, Route};

use super::kill::{QUERIES, kill, known, slow_server};
use super::{Ended, Running, folder, over_http, program, queries, read, simulation, tpo};

/// Runs a part against the simulation of the program.
fn part(folder: &Path, shard: &str, out: &str, more: &[&str]) -> Ended {
    let arguments = ["--data", "queries.json", "--out", out, "--shard", shard];
    Running::start(tpo(folder, arguments.iter().chain(more))).end()
}

fn command(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = program(folder);
    command.args(arguments);
    Running::start(command).end()
}

fn merge(folder: &Path, parts: &[&str], out: &str) -> Ended {
    command(folder, &[&["merge"], parts, &["--out", out]].concat())
}

#[test]
fn merged_parts_are_the_run_that_is_made_at_once() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 7);
    let whole = ["--data", "queries.json", "--out", "whole"];
    Running::start(tpo(folder, whole)).end().with_code(0);
    // The last part has no query of its own.
    for mode in ["tpo", "shuffled"] {
        let single = format!("single-{mode}");
        let more = ["--mode", mode];
        let arguments = ["--data", "queries.json", "--out", &single];
        Running::start(tpo(folder, arguments.iter().chain(&more))).end().with_code(0);
        let names: Vec<String> = (1..=8).rev().map(|number| format!("{mode}-{number}")).collect();
        for (name, number) in names.iter().zip((1..=8).rev()) {
            let ended = part(folder, &format!("{number}/8"), name, &more).with_code(0);
            let count = if number == 8 { "0 queries" } else { "1 query" };
            assert!(ended.err.contains(&format!("{mode}: {count} from")), "{}", ended.err);
            command(folder, &["verify", name]).with_code(0);
        }
        let parts: Vec<&str> = names.iter().map(String::as_str).collect();
        let merged = format!("merged-{mode}");
        let ended = merge(folder, &parts, &merged).with_code(0);
        assert!(ended.out.contains("8 parts, 7 results (0 failed)"), "{}", ended.out);
        for file in ["results.jsonl", "config.json"] {
            let [merged, single] = [&merged, &single].map(|run| read(folder.join(run).join(file)));
            assert_eq!(merged, single, "{file}");
        }
        let [joined, once] =
            [&merged, &single].map(|run| read(folder.join(run).join("journal.jsonl")));
        assert_eq!(known(&joined), known(&once));
        let verified = command(folder, &["verify", &merged]).with_code(0);
        assert_eq!(verified.out, command(folder, &["verify", &single]).with_code(0).out);
        command(folder, &["report", &merged, "--out", "report"]).with_code(0);
        command(folder, &["graph", &merged, "3", "--out", "graph.html", "--force"]).with_code(0);
        let resumed = ["--data", "queries.json", "--out", &merged, "--resume"];
        Running::start(tpo(folder, resumed.iter().chain(&more))).end().with_code(0);
        assert_eq!(
            read(folder.join(&merged).join("journal.jsonl")),
            joined,
            "nothing is left to do"
        );
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 5);
    for (shard, out, more) in [
        ("1/2", "a", &[][..]),
        ("2/2", "b", &[]),
        ("2/2", "again", &[]),
        ("2/2", "seed", &["--seed", "8"]),
        ("2/3", "third", &[]),
    ] {
        part(folder, shard, out, more).with_code(0);
    }
    Running::start(tpo(folder, ["--data", "queries.json", "--out", "whole"])).end().with_code(0);
    let refused = |parts: &[&str], words: &[&str]| {
        merge(folder, parts, "out").refused(words);
        assert!(!folder.join("out").exists() && !folder.join("out.partial").exists(), "{parts:?}");
    };
    refused(&["a"], &["a cannot be merged", "expected all 2 parts, got none of 2/2"]);
    refused(&["a", "b", "again"], &["expected each part once, got part 2/2, which b is too"]);
    refused(&["a", "seed"], &["seed cannot be merged", "search.seed: 7 then, 8 now"]);
    refused(&["a", "third"], &["parts: 2 there, 3 here"]);
    refused(&["a", "whole"], &["whole cannot be merged", "got a whole run"]);
    refused(&["a", "nowhere"], &["nowhere holds no run"]);
    merge(folder, &["a", "b"], "whole").refused(&["whole holds a run already"]);
    // A part is continued as the part that it is.
    let resume = |shard| part(folder, shard, "a", &["--resume"]);
    resume("2/2").refused(&["shard: \"1/2\" then, \"2/2\" now"]);
    for shard in ["0/2", "3/2", "2", "a/b"] {
        resume(shard).refused(&["expected I/N with I from 1 to N"]);
    }

    // Results that are not whole, and steps that are not there.
    let (results, journal) = (folder.join("b/results.jsonl"), folder.join("b/journal.jsonl"));
    let (whole, steps) = (read(&results), read(&journal));
    for (left, words) in [
        (whole.lines().next().unwrap().to_owned() + "\n", "expected a result of query 3, got none"),
        (whole.split_inclusive('\n').skip(1).collect(), "expected query 1, got 3; --resume"),
        (whole.repeat(2), "expected the last result before it, of 5 queries, got more"),
    ] {
        std::fs::write(&results, left).unwrap();
        let ended = merge(folder, &["a", "b"], "out");
        assert!(ended.code != Some(0) && ended.err.contains(words), "{ended:?}");
        assert!(!folder.join("out").exists());
    }
    std::fs::write(&results, &whole).unwrap();
    let last_score = steps.split_inclusive('\n').rfind(|line| line.contains("\"score\"")).unwrap();
    std::fs::write(&journal, steps.replace(last_score, "")).unwrap();
    refused(&["a", "b"], &["out cannot be merged", "the journal has no score of answer"]);
    std::fs::write(&journal, steps).unwrap();
    std::fs::remove_file(&results).unwrap();
    refused(&["a", "b"], &["b has no results.jsonl"]);

    // What a killed merge left is written anew.
    std::fs::write(&results, whole).unwrap();
    std::fs::create_dir(folder.join("out.partial")).unwrap();
    std::fs::write(folder.join("out.partial/journal.jsonl"), "{\"type\":\"run\",").unwrap();
    merge(folder, &["a", "b"], "out").with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), read(folder.join("whole/results.jsonl")));
    assert!(!folder.join("out.partial").exists());
}

fn asked(server: &FakeServer) -> u64 {
    let stats = server.stats();
    [Route::Chat, Route::Classify].iter().map(|route| stats.route(*route).requests).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_killed_is_continued() {
    let folder = folder();
    let folder = folder.path();
    for place in ["a", "b", "single"].map(|name| folder.join(name)) {
        std::fs::create_dir(&place).unwrap();
        queries(&place, QUERIES);
    }
    let once = simulation().start().await.unwrap();
    Running::start(over_http(&folder.join("single"), &once, &[])).end().with_code(0);

    let server = slow_server().await;
    for (requests, shard, name) in [(40, "1/2", "a"), (60, "2/2", "b")] {
        let (place, ended) = (folder.join(name), asked(&server) + requests);
        kill(&place, &server, ended, &["--shard", shard], ready(())).await;
        let (calls, scores) = known(&read(place.join("out/journal.jsonl")));
        assert!(calls > 0 && scores > 0, "{calls} calls, {scores} scores");
        let resume = || over_http(&place, &server, &["--shard", shard, "--resume"]);
        Running::start(resume()).end().with_code(0);
        let done = asked(&server);
        Running::start(resume()).end().with_code(0);
        assert_eq!(asked(&server), done);
    }
    merge(folder, &["a/out", "b/out"], "out").with_code(0);
    assert_eq!(
        read(folder.join("out/results.jsonl")),
        read(folder.join("single/out/results.jsonl"))
    );
    // What was under way at a kill is asked for again, and nothing else.
    let twice = server.stats().route(Route::Chat).paid_twice;
    assert!(twice <= QUERIES as u64, "{twice}");
}
