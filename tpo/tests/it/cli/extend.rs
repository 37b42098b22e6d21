//! Runs that are continued with more iterations and more queries.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use textgrad_tests::fake_server::{FakeServer, Route};

use super::{
    Ended, Running, folder, json_lines, pointed_at, program, queries, quiet, read, simulation, tpo,
};

/// A run of so many queries with so many iterations.
fn sized(folder: &Path, server: &FakeServer, size: (usize, u32), more: &[&str]) -> Running {
    let (count, iterations) = size;
    queries(folder, count);
    let iterations = iterations.to_string();
    let mut command = tpo(folder, ["--data", "queries.json", "--iterations", &iterations]);
    command.args(pointed_at(server)).args(more);
    Running::start(command)
}

fn asked(server: &FakeServer) -> [u64; 2] {
    let stats = server.stats();
    [Route::Chat, Route::Classify].map(|route| stats.route(route).requests)
}

fn paid_twice(server: &FakeServer) -> u64 {
    let stats = server.stats();
    stats.route(Route::Chat).paid_twice + stats.route(Route::Classify).paid_twice
}

fn results(folder: &Path, out: &str) -> String {
    read(folder.join(out).join("results.jsonl"))
}

/// What a run of this size comes to that is made at once, and what it asks for.
async fn at_once(size: (usize, u32)) -> (String, [u64; 2]) {
    let folder = folder();
    let server = simulation().start().await.unwrap();
    sized(folder.path(), &server, size, &["--out", "once"]).end().with_code(0);
    (results(folder.path(), "once"), asked(&server))
}

fn verified(folder: &Path) -> Ended {
    let mut command = program(folder);
    command.args(["verify", "out"]);
    Running::start(command).end().with_code(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_new_is_asked_for_and_the_results_are_those_of_one_run() {
    let folder = folder();
    let folder = folder.path();
    let server = simulation().start().await.unwrap();
    sized(folder, &server, (3, 1), &["--out", "out"]).end().with_code(0);
    for size in [(3, 2), (5, 2), (6, 4)] {
        let (expected, in_all) = at_once(size).await;
        sized(folder, &server, size, &["--out", "out", "--extend"]).end().with_code(0);
        assert_eq!(asked(&server), in_all, "{size:?}: what was known is not asked for again");
        assert_eq!(paid_twice(&server), 0);
        assert_eq!(results(folder, "out"), expected, "{size:?}");
        let sound = verified(folder);
        assert!(sound.out.contains(&format!("{} results", size.0)), "{}", sound.out);
        // Once more, as it is now.
        sized(folder, &server, size, &["--out", "out", "--resume"]).end().with_code(0);
        sized(folder, &server, size, &["--out", "out", "--extend"]).end().with_code(0);
        assert_eq!(asked(&server), in_all);
        assert_eq!(results(folder, "out"), expected, "{size:?}");
    }
    let journal = json_lines(&read(folder.join("out/journal.jsonl")));
    let extended: Vec<&Value> = journal.iter().filter(|line| line["type"] == "extended").collect();
    assert_eq!(extended.len(), 3, "a run that is as it was is not extended");
    let config: Value = serde_json::from_str(&read(folder.join("out/config.json"))).unwrap();
    assert_eq!(extended[2]["config"], config);
    assert_eq!(
        (&config["search"]["iterations"], &config["data"]["queries"]),
        (&4.into(), &6.into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_that_is_killed_is_resumed() {
    let folder = folder();
    let folder = folder.path();
    let server = simulation().latency(Duration::from_millis(4)).start().await.unwrap();
    sized(folder, &server, (3, 1), &["--out", "out"]).end().with_code(0);
    let before: u64 = asked(&server).iter().sum();
    let mut running = sized(folder, &server, (4, 3), &["--out", "out", "--extend"]);
    server.ended(before + 6).await;
    running.kill();
    assert_eq!(running.end().code, None);
    quiet(&server).await;
    // As if it had died between the journal and the settings.
    let config = read(folder.join("out/config.json"));
    let stale = config.replace("\"iterations\": 3", "\"iterations\": 1");
    assert_ne!(stale, config);
    std::fs::write(folder.join("out/config.json"), stale).unwrap();
    sized(folder, &server, (4, 3), &["--out", "out", "--resume"]).end().with_code(0);
    let (expected, [chats, _]) = at_once((4, 3)).await;
    assert_eq!(results(folder, "out"), expected);
    assert_eq!(read(folder.join("out/config.json")), config);
    // What was under way when it died is all that may be asked for twice.
    assert!(asked(&server)[0] <= chats + 16, "{:?} of {chats}", asked(&server));
    verified(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_other_change_is_refused_by_name() {
    let folder = folder();
    let folder = folder.path();
    let server = simulation().start().await.unwrap();
    sized(folder, &server, (3, 2), &["--out", "out"]).end().with_code(0);
    let (asked_before, journal) = (asked(&server), read(folder.join("out/journal.jsonl")));
    for (size, more, words) in [
        ((3, 1), &["--extend"][..], &["search.iterations: 2 then, 1 now"][..]),
        ((2, 2), &["--extend"], &["data.queries: 3 then, 2 now", "the queries"]),
        ((3, 4), &["--extend", "--seed", "8"], &["search.seed: 7 then, 8 now"]),
        ((5, 2), &["--extend", "--samples", "6"], &["search.samples: 5 then, 6 now"]),
        ((3, 2), &["--extend", "--budget", "calls:9"], &["search.early_stop.budget: null then"]),
        ((3, 3), &["--resume"], &["search.iterations: 2 then, 3 now", "--extend takes more"]),
        ((4, 2), &["--resume"], &["data.queries: 3 then, 4 now", "--extend takes more"]),
    ] {
        let ended = sized(folder, &server, size, &[&["--out", "out"], more].concat()).end();
        let ended = ended.with_code(2);
        for word in words {
            assert!(ended.err.contains(word), "{word:?} is missing in: {}", ended.err);
        }
        let iterations = ended.err.contains("search.iterations: ");
        assert_eq!(iterations, words[0].starts_with("search.iterations"), "{}", ended.err);
    }
    // As many queries, of which one is another.
    std::fs::write(
        folder.join("other.json"),
        r#"["Why does wood number 0 float?", "b", "c", "d"]"#,
    )
    .unwrap();
    let mut command = tpo(folder, ["--data", "other.json", "--out", "out", "--extend"]);
    command.args(pointed_at(&server));
    Running::start(command).end().refused(&["the queries"]);
    sized(folder, &server, (3, 2), &["--out", "none", "--extend"])
        .end()
        .refused(&["none holds no run"]);
    assert_eq!(asked(&server), asked_before, "nothing was asked");
    assert_eq!(read(folder.join("out/journal.jsonl")), journal, "nor written");
}
