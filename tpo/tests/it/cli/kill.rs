//! Runs that are killed, and continued.

use std::fs::OpenOptions;
use std::future::{Future, ready};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use textgrad_core::Seed;
use textgrad_tests::fake_server::{FakeServer, Route};

use super::{Running, folder, over_http, queries, quiet, read, simulation};

pub(super) const QUERIES: usize = 8;
pub(super) const CHATS: u64 = QUERIES as u64 * 7;

/// How many calls and how many scores stand in whole lines of a journal.
pub(super) fn known(journal: &str) -> (u64, u64) {
    let whole = journal.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let (mut calls, mut scores) = (0, 0);
    for line in whole {
        let line: Value = serde_json::from_str(line).unwrap();
        calls += u64::from(line["type"] == "call");
        scores += u64::from(line["type"] == "score");
    }
    (calls, scores)
}

/// A run that nothing disturbs.
pub(super) struct Undisturbed {
    pub(super) results: String,
    /// How many answers it has scored.
    pub(super) scored: u64,
}

pub(super) async fn undisturbed() -> Undisturbed {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder.path(), &server, &[])).end().with_code(0);
    assert_eq!(server.stats().route(Route::Chat).requests, CHATS);
    let scored = server.stats().route(Route::Classify).requests;
    Undisturbed { results: read(folder.path().join("out/results.jsonl")), scored }
}

pub(super) async fn slow_server() -> FakeServer {
    simulation().latency(Duration::from_millis(4)).start().await.unwrap()
}

/// Starts a run, or continues it, and kills it when the server has ended so many requests, and `later`.
pub(super) async fn kill(
    folder: &Path,
    server: &FakeServer,
    ended: u64,
    more: &[&str],
    later: impl Future<Output = ()>,
) {
    // Some more are answered, so that it dies at work, but not all: it must not end by itself before.
    server.answer_at_most(ended + 4);
    let mut running = Running::start(over_http(folder, server, more));
    server.ended(ended).await;
    later.await;
    running.kill();
    assert_eq!(running.end().code, None, "killed after {ended} requests");
    quiet(server).await;
    server.answer_at_most(u64::MAX);
}

pub(super) fn answered(server: &FakeServer, route: Route) -> u64 {
    server.stats().route(route).statuses.get("2xx").copied().unwrap_or_default()
}

/// Continues a run to its end, and holds the server's figures against what the journal knew.
pub(super) async fn continued(folder: &Path, server: &FakeServer, expected: &Undisturbed) {
    let journal = folder.join("out/journal.jsonl");
    // One that was killed before it had a journal is begun anew.
    let (known, more) = match journal.exists() {
        true => (known(&read(journal)), &["--resume"][..]),
        false => ((0, 0), &[][..]),
    };
    let (calls, scores) = known;
    let before = server.stats();
    let (chats, classified) = (answered(server, Route::Chat), answered(server, Route::Classify));
    Running::start(over_http(folder, server, more)).end().with_code(0);

    let after = server.stats();
    let asked = |route| after.route(route).requests - before.route(route).requests;
    assert_eq!(asked(Route::Chat), CHATS - calls, "all that the journal did not know, and no more");
    assert_eq!(asked(Route::Classify), expected.scored - scores);
    // What was answered but not written down when the run died is all that can be paid for twice.
    assert!(after.route(Route::Chat).paid_twice <= chats - calls);
    assert!(after.route(Route::Classify).paid_twice <= classified - scores);
    assert_eq!(read(folder.join("out/results.jsonl")), expected.results);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_at_any_moment_is_continued() {
    let expected = undisturbed().await;
    for round in 0..6 {
        let folder = folder();
        queries(folder.path(), QUERIES);
        let server = slow_server().await;
        let moment =
            1 + Seed::new(7).child("moment", round).value() % (CHATS + expected.scored - 10);
        let more = ["--concurrency", if round % 2 == 0 { "3" } else { "64" }];
        kill(folder.path(), &server, moment, &more, ready(())).await;
        assert!(!folder.path().join("out/results.jsonl").exists());
        continued(folder.path(), &server, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_again_and_again_is_continued() {
    let expected = undisturbed().await;
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = slow_server().await;
    let (mut ended, mut more) = (0, vec![]);
    for _ in 0..4 {
        ended += 20;
        kill(folder.path(), &server, ended, &more, ready(())).await;
        // Those that died with the process have ended too.
        let stats = server.stats();
        let routes = [Route::Chat, Route::Classify].map(|route| stats.route(route).requests);
        ended = routes.iter().sum();
        more = vec!["--resume"];
    }
    let (calls, scores) = known(&read(folder.path().join("out/journal.jsonl")));
    Running::start(over_http(folder.path(), &server, &more)).end().with_code(0);
    assert!(calls > 0 && scores > 0, "{calls} calls and {scores} scores were known");
    assert_eq!(read(folder.path().join("out/results.jsonl")), expected.results);
}

/// Kind: Costs | a last line of a journal that is not whole | its step alone is asked for again
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_last_line_is_asked_for_again_and_no_other() {
    let expected = undisturbed().await;
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder.path(), &server, &[])).end().with_code(0);
    let journal = folder.path().join("out/journal.jsonl");
    // As if it had died after the last step, before any search was over.
    let whole: String = read(&journal)
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("{\"type\":\"finished\""))
        .collect();
    let length = whole.len() as u64;
    let last = whole.trim_end().rsplit('\n').next().unwrap().len() as u64;

    for cut in [1, 2, last / 2, last] {
        std::fs::write(&journal, &whole).unwrap();
        let file = OpenOptions::new().write(true).open(&journal).unwrap();
        file.set_len(length - cut).unwrap();
        drop(file);
        continued(folder.path(), &server, &expected).await;
        assert_eq!(known(&read(&journal)), (CHATS, expected.scored));
    }
    // Half a line that was never a record.
    let mut file = OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(br#"{"type":"call","query":0,"purp"#).unwrap();
    drop(file);
    continued(folder.path(), &server, &expected).await;
    assert!(read(&journal).ends_with("}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_has_one_process_at_a_time() {
    let expected = undisturbed().await;
    let folder = folder();
    queries(folder.path(), QUERIES);
    // Slow enough that the first is at work for as long as the others need to be refused.
    let server = simulation().latency(Duration::from_millis(40)).start().await.unwrap();
    let first = Running::start(over_http(folder.path(), &server, &["--concurrency", "2"]));
    server.ended(1).await;
    let second = Running::start(over_http(folder.path(), &server, &["--resume"])).end();
    let second = second.with_code(1);
    assert!(second.err.contains("out is in use by another process"), "{}", second.err);
    let third = Running::start(over_http(folder.path(), &server, &[])).end();
    third.refused(&["out holds a run already"]);
    first.end().with_code(0);
    assert_eq!(server.stats().route(Route::Chat).requests, CHATS);
    assert_eq!(read(folder.path().join("out/results.jsonl")), expected.results);
}

/// Kind: Costs | a damaged line of a journal | named, by `tpo verify` too; its step alone is asked for again
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_line_of_a_journal_is_named_and_its_step_alone_is_asked_for_again() {
    let folder = folder();
    queries(folder.path(), 2);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder.path(), &server, &[])).end().with_code(0);
    let asked = || {
        let stats = server.stats();
        stats.route(Route::Chat).requests + stats.route(Route::Classify).requests
    };
    let (journal, results) =
        (folder.path().join("out/journal.jsonl"), folder.path().join("out/results.jsonl"));
    let expected = read(&results);
    // Half a line, a digit of a score, and a letter of a key.
    type Change = fn(&str) -> String;
    let changes: [(usize, Change); 3] = [
        (5, |line| line[..10].to_owned()),
        (6, |line| line.replacen("\"ms\":", "\"ms\":1", 1)),
        (7, |line| line.replacen("\"key\":\"", "\"key\":\"0", 1)),
    ];
    for (number, change) in changes {
        let mut lines: Vec<String> = read(&journal).lines().map(str::to_owned).collect();
        lines[number - 1] = change(&lines[number - 1]);
        std::fs::write(&journal, lines.join("\n") + "\n").unwrap();
        let verify = || {
            let mut verify = super::program(folder.path());
            verify.args(["verify", "out"]);
            Running::start(verify).end()
        };
        let found = verify();
        assert_ne!(found.code, Some(0));
        let said = found.out + &found.err;
        assert!(said.contains(&format!("journal.jsonl, line {number}: ")), "{said}");

        let before = asked();
        let ended = Running::start(over_http(folder.path(), &server, &["--resume"])).end();
        let ended = ended.with_code(0);
        assert!(
            ended.err.contains("out/journal.jsonl") && ended.err.contains("got a damaged line")
        );
        assert!(ended.err.contains(&format!("line: {number})")), "{}", ended.err);
        assert_eq!(asked() - before, 1, "line {number}");
        assert_eq!(read(&results), expected);
        verify().with_code(0);
    }
}

/// Kind: Costs | `--resume` of a run that was killed before its journal began | the run begins anew, with a warning
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_killed_before_its_journal_began_is_begun_anew() {
    let expected = undisturbed().await;
    for config in [None, Some("{}"), Some("{\"schema\":")] {
        let folder = folder();
        queries(folder.path(), QUERIES);
        let server = simulation().start().await.unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        if let Some(config) = config {
            std::fs::write(folder.path().join("out/config.json"), config).unwrap();
        }
        let ended = Running::start(over_http(folder.path(), &server, &["--resume"])).end();
        let ended = ended.with_code(0);
        assert!(ended.err.contains("the run begins anew"), "{}", ended.err);
        assert_eq!(read(folder.path().join("out/results.jsonl")), expected.results);
    }
    // Results without a journal were paid for, and notes are of somebody.
    for name in ["results.jsonl", "notes.txt"] {
        let folder = folder();
        queries(folder.path(), 1);
        let server = simulation().start().await.unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        std::fs::write(folder.path().join("out").join(name), "").unwrap();
        let ended = Running::start(over_http(folder.path(), &server, &["--resume"])).end();
        ended.refused(&["out holds no run to resume"]);
    }
}
