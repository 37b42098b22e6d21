//! Runs that are resumed with results that an earlier attempt left.

use std::path::Path;

use textgrad_tests::fake_server::{FakeServer, Route};

use super::kill::{known, slow_server};
use super::{Running, folder, json_lines, over_http, queries, quiet, read, simulation};

const QUERIES: usize = 6;

fn asked(server: &FakeServer) -> u64 {
    let stats = server.stats();
    [Route::Chat, Route::Classify].iter().map(|route| stats.route(*route).requests).sum()
}

/// Removes the steps of a query from the journal, so that a search of it has to ask for them again.
fn forget_steps(journal: &Path, query: usize) {
    let of_query = format!("\"query\":{query},");
    let kept: String = read(journal)
        .split_inclusive('\n')
        .filter(|line| line.contains("\"finished\"") || !line.contains(&of_query))
        .collect();
    std::fs::write(journal, kept).unwrap();
}

/// Continues the run; returns how many requests that took.
fn resume(folder: &Path, server: &FakeServer) -> u64 {
    let before = asked(server);
    Running::start(over_http(folder, server, &["--resume"])).end().with_code(0);
    asked(server) - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_queries_are_not_searched_again_where_their_results_are_whole() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, QUERIES);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder, &server, &[])).end().with_code(0);
    let (results, journal) = (folder.join("out/results.jsonl"), folder.join("out/journal.jsonl"));
    let (expected, whole) = (read(&results), read(&journal));
    let finished = json_lines(&whole).into_iter().filter(|line| line["type"] == "finished");
    assert_eq!(finished.count(), QUERIES);

    // Whole: neither file is written.
    let written = || std::fs::metadata(&results).unwrap().modified().unwrap();
    let before = written();
    assert_eq!((resume(folder, &server), written()), (0, before));
    assert_eq!((read(&results), read(&journal)), (expected.clone(), whole.clone()));

    // A line that is missing, changed or torn is made anew from the steps. All others are taken as they are, even
    // where the journal has no steps of them any more.
    forget_steps(&journal, 4);
    let forgetful = read(&journal);
    let lines: Vec<&str> = expected.lines().collect();
    let changed = expected.replacen("\"status\":\"ok\"", "\"status\":\"OK\"", 1);
    for (left, name) in [
        (lines[1..].join("\n") + "\n", "results.jsonl"),
        (changed, "results.jsonl"),
        (expected.trim_end().to_owned(), "results.jsonl"),
        (lines[2..].join("\n") + "\n", "results.jsonl.partial"),
    ] {
        std::fs::remove_file(&results).unwrap();
        std::fs::write(folder.join("out").join(name), left).unwrap();
        assert_eq!(resume(folder, &server), 0);
        assert_eq!((read(&results), read(&journal)), (expected.clone(), forgetful.clone()));
        assert!(!folder.join("out/results.jsonl.partial").exists());
    }

    // Without its line the query is searched again.
    std::fs::remove_file(&results).unwrap();
    assert_eq!(resume(folder, &server), asked(&server) - resume_cost(&whole));
    assert_eq!(read(&results), expected);
}

/// The requests of the steps of a journal.
fn resume_cost(journal: &str) -> u64 {
    let (calls, scores) = known(journal);
    calls + scores
}

/// A dropped line may have been of any query, so all are searched again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_not_kept_after_a_damaged_line() {
    let folder = folder();
    let folder = folder.path();
    queries(folder, 2);
    let server = simulation().start().await.unwrap();
    Running::start(over_http(folder, &server, &[])).end().with_code(0);
    let (results, journal) = (folder.join("out/results.jsonl"), folder.join("out/journal.jsonl"));
    let (expected, whole) = (read(&results), read(&journal));
    std::fs::write(&journal, whole.replacen("\"ms\":", "\"ms\":1", 1)).unwrap();
    // A process that dies as soon as it has noted the line.
    server.answer_at_most(asked(&server));
    let mut running = Running::start(over_http(folder, &server, &["--resume"]));
    super::arrived(&server).await;
    running.kill();
    running.end();
    quiet(&server).await;
    server.answer_at_most(u64::MAX);
    assert!(read(&journal).contains("\"dropped\""));
    assert_eq!(resume(folder, &server), 1, "the step of the damaged line");
    assert_eq!(read(&results), expected);
    assert_eq!(resume(folder, &server), 0);
}

/// The results of a killed attempt are in a file of another name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_fields_of_a_query_are_those_of_today() {
    let folder = folder();
    let folder = folder.path();
    let server = slow_server().await;
    let data = |id: &str| {
        let line = |query: &str, id: &str| format!("{{\"query\":\"{query}\",\"id\":\"{id}\"}}");
        let text = format!("[{},{}]", line("Why does wood float?", id), line("And ice?", "b"));
        std::fs::write(folder.join("queries.json"), text).unwrap();
    };
    data("a");
    Running::start(over_http(folder, &server, &[])).end().with_code(0);
    let results = folder.join("out/results.jsonl");
    let expected = read(&results);
    data("c");
    assert_eq!(resume(folder, &server), 0);
    assert_eq!(read(&results), expected.replace("\"id\":\"a\"", "\"id\":\"c\""));
}
