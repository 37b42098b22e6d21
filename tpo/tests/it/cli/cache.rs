//! Answers kept in a file from one run to the next.

use std::path::Path;

use serde_json::Value;
use textgrad_ops::store::{CacheFilter, SqliteCache, SqliteConfig};
use textgrad_tests::fake_server::{FakeServer, Route};

use super::{Ended, Running, folder, over_http, queries, quiet, read, run, simulation, tpo};

const QUERIES: usize = 6;
const CHATS: u64 = QUERIES as u64 * 7;

/// A run into a folder of its own, with the file `answers`. Its scores are not the server's: they are not kept
/// and would be asked for again.
fn into(folder: &Path, server: &FakeServer, out: &str, more: &[&str]) -> Running {
    let url = server.base_url();
    let arguments =
        ["--data", "queries.json", "--cache", "answers", "--json", "--no-preflight", "--out", out];
    let engine = ["--engine", "openai", "--base-url", &url, "--model", "sim", "--reward", "sim"];
    let mut command = tpo(folder, arguments);
    command.args(engine).args(more);
    Running::start(command)
}

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap()
}

fn results(folder: &Path, out: &str) -> String {
    read(folder.join(out).join("results.jsonl"))
}

fn chats(server: &FakeServer) -> u64 {
    server.stats().route(Route::Chat).requests
}

async fn kept(folder: &Path) -> SqliteCache {
    SqliteCache::open_existing(folder.join("answers"), SqliteConfig::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_asks_nothing_and_comes_to_the_same() {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().start().await.unwrap();
    let first = into(folder.path(), &server, "first", &[]).end().with_code(0);
    assert_eq!(chats(&server), CHATS);
    assert!(!folder.path().join("answers-wal").metadata().is_ok_and(|wal| wal.len() > 0));
    let second = into(folder.path(), &server, "second", &[]).end().with_code(0);
    assert_eq!(chats(&server), CHATS, "nothing was asked again");
    assert_eq!(results(folder.path(), "first"), results(folder.path(), "second"));
    let (first, second) = (report(&first), report(&second));
    assert_eq!((&first["cache"]["hits"], &first["cache"]["misses"]), (&0.into(), &CHATS.into()));
    assert_eq!((&second["cache"]["hits"], &second["cache"]["misses"]), (&CHATS.into(), &0.into()));
    assert_eq!(second["sent"]["requests"], 0);
    assert_eq!(first["summary"]["usage"], second["summary"]["usage"]);

    // For people.
    let third = over_http(folder.path(), &server, &["--cache", "answers"]);
    let third = Running::start(third).end().with_code(0);
    let row = third.out.lines().find(|line| line.contains("from the cache")).unwrap();
    assert!(row.ends_with(&format!(" {CHATS}")), "{row}");
    assert_eq!(chats(&server), CHATS);

    // Another seed asks other things.
    into(folder.path(), &server, "other", &["--seed", "8"]).end().with_code(0);
    assert_eq!(chats(&server), 2 * CHATS);
}

/// Kind: Costs | several processes at once with one cache file | of equal requests, one is made
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_file_at_the_same_time() {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let latency = std::time::Duration::from_millis(20);
    let server = simulation().latency(latency).start().await.unwrap();
    let outs = ["a", "b", "c", "d", "e"];
    let running = outs.map(|out| into(folder.path(), &server, out, &[]));
    for (running, out) in running.into_iter().zip(outs) {
        let report = report(&running.end().with_code(0));
        assert_eq!(report["cache"]["failures"], 0, "{out}");
        assert_eq!(results(folder.path(), out), results(folder.path(), "a"));
    }
    assert_eq!(chats(&server), CHATS, "each request is made by one of them");
    let cache = kept(folder.path()).await;
    assert_eq!(cache.info().await.unwrap().entries, CHATS);
    assert_eq!(cache.check().await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_keeps_what_it_was_given() {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let latency = std::time::Duration::from_millis(4);
    let server = simulation().latency(latency).start().await.unwrap();
    // Together fewer than a run makes: each goes on with what the ones before it were given.
    for moment in [4, 9, 13] {
        let out = moment.to_string();
        let mut running = into(folder.path(), &server, &out, &["--concurrency", "2"]);
        server.ended(server.stats().route(Route::Chat).requests + moment).await;
        running.kill();
        assert_eq!(running.end().code, None, "killed at {moment}");
        quiet(&server).await;
        // What the journal holds was handed on, so it was kept before.
        let journal = read(folder.path().join(&out).join("journal.jsonl"));
        let calls = journal.lines().filter(|line| line.contains(r#""type":"call""#)).count() as u64;
        let cache = kept(folder.path()).await;
        assert!(cache.info().await.unwrap().entries >= calls, "{calls} calls in the journal");
        assert_eq!(cache.check().await.unwrap(), [""; 0]);
    }
    let known = kept(folder.path()).await.info().await.unwrap().entries;
    assert!(known > 0 && known < CHATS, "{known} of {CHATS} were kept");
    let before = chats(&server);
    let last = into(folder.path(), &server, "last", &[]).end().with_code(0);
    assert_eq!(chats(&server) - before, CHATS - known, "only what was not kept");
    assert_eq!(report(&last)["cache"]["hits"], known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_does_without_the_cache_and_the_other_way_around() {
    let folder = folder();
    queries(folder.path(), QUERIES);
    let server = simulation().start().await.unwrap();
    into(folder.path(), &server, "out", &[]).end().with_code(0);
    let expected = results(folder.path(), "out");
    // Half of the answers are gone from the cache, and half of the lines from the journal.
    let cache = kept(folder.path()).await;
    cache.remove(CacheFilter::default().limit(CHATS / 2)).await.unwrap();
    let journal = folder.path().join("out/journal.jsonl");
    let lines: Vec<String> = read(&journal).lines().map(|line| format!("{line}\n")).collect();
    std::fs::write(&journal, lines[..lines.len() / 2].concat()).unwrap();
    into(folder.path(), &server, "out", &["--resume"]).end().with_code(0);
    assert_eq!(results(folder.path(), "out"), expected);
    assert!(chats(&server) < 2 * CHATS);
    // Without any cache, from the journal alone.
    let before = chats(&server);
    std::fs::remove_file(folder.path().join("answers")).unwrap();
    into(folder.path(), &server, "out", &["--resume"]).end().with_code(0);
    assert_eq!(chats(&server), before);
    assert_eq!(results(folder.path(), "out"), expected);
}

#[test]
fn a_file_that_is_no_cache_is_refused() {
    let folder = folder();
    let text = "some notes of mine, which are no database\n".repeat(30);
    std::fs::write(folder.path().join("notes.txt"), &text).unwrap();
    for (file, words) in [
        (
            "notes.txt",
            &["the cache cannot be set up: the cache notes.txt: expected a cache file"][..],
        ),
        (
            "none/answers",
            &["the cache none/answers: it cannot be opened; check that its folder exists"],
        ),
        ("", &["--cache"]),
    ] {
        run(folder.path(), &["--cache", file, "--out", "out"]).refused(words);
    }
    assert_eq!(read(folder.path().join("notes.txt")), text);
    assert!(!folder.path().join("out").exists());
}

/// A disk that is full in the middle of a run: the program may write no file beyond a size.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_no_answer() {
    let folder = folder();
    // Built-in queries, so that it writes no file but the cache.
    let plain = run(folder.path(), &["--json", "--limit", "3"]).with_code(0);
    let mut command = std::process::Command::new("/bin/sh");
    command.env_clear().current_dir(folder.path());
    // In units of 512 bytes: the tables fit, the answers do not.
    let script = r#"trap '' XFSZ; ulimit -f 200; exec "$0" run --json --limit 3 --cache answers"#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_tpo")]);
    let full = Running::start(command).end().with_code(0);
    let (plain, report) = (report(&plain), report(&full));
    assert_eq!(plain["answers"], report["answers"]);
    assert!(report["cache"]["failures"].as_u64().unwrap() > 0, "{}", full.out);
    assert!(full.err.contains("an answer is not kept"), "{}", full.err);
}
