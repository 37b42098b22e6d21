//! Faults of the network and of the server, and workers that are paused.

use std::time::Duration;

use textgrad_core::Seed;
use textgrad_tests::faulty_link::{FaultyLink, LinkFaults};
use textgrad_tests::nats::NatsServer;

use super::super::interrupt::send;
use super::super::{folder, over_http, queries, read, simulation};
use super::{Running, asked_again, coordinator, summary, undisturbed, verify, worker};

const QUERIES: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_delays_cuts_and_duplicates_changes_nothing() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(QUERIES).await;
    queries(folder, QUERIES);
    let server = simulation().start().await.unwrap();
    let faults = LinkFaults { delay: Duration::from_millis(4), cut: 50, duplicate: 5 };
    let link = FaultyLink::start(nats.address(), faults, Seed::new(17)).await;
    let workers =
        [0, 1].map(|_| worker(folder, &server, &link.url("link"), &["--concurrency", "2"]));
    let ended = coordinator(folder, &server, &nats.url("link"), &[]).end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    verify(folder);
    let [cut, duplicated] = link.counts();
    assert!(cut > 0 && duplicated > 0, "{cut} cut, {duplicated} duplicated");
    let counted = summary(&ended)["queue"]["asked_again"].as_u64().unwrap();
    assert!(asked_again(folder, &server) <= counted, "{counted}");
    drop(workers);
}

/// A worker that cannot reach the server records its paid steps as soon as it can again, if its query is still its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_worker_adds_nothing_and_what_it_paid_for_is_counted() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(QUERIES).await;
    queries(folder, QUERIES);
    let server = simulation().latency(Duration::from_millis(30)).start().await.unwrap();
    let url = nats.url("stale");
    let run = coordinator(folder, &server, &url, &[]);
    let stale = worker(folder, &server, &url, &[]);
    server.ended(30).await;
    send("STOP", &stale);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let fresh = worker(folder, &server, &url, &["--concurrency", "2"]);
    let before = server.stats();
    let ended = before.routes.values().map(|route| route.requests).sum::<u64>();
    server.ended(ended + 20).await;
    send("CONT", &stale);
    let ended = run.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    verify(folder);
    let (queue, again) = (&summary(&ended)["queue"], asked_again(folder, &server));
    assert!(queue["redelivered"].as_u64().unwrap() > 0, "{queue}");
    assert!(again > 0 && again <= queue["asked_again"].as_u64().unwrap(), "{again}: {queue}");
    let report: serde_json::Value = serde_json::from_str(&stale.end().with_code(0).out).unwrap();
    assert!(report["worker"]["lost"].as_u64().unwrap() > 0, "{report}");
    fresh.end().with_code(0);
}

/// The storage of the server is full: all wait, and go on when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_delays_the_run() {
    let folder = folder();
    let folder = folder.path();
    // Queries of 20 kB, of which not even all fit.
    let Some(mut nats) = NatsServer::start(folder, "", "max_file_store: 600000") else { return };
    let long = |number| format!("Why does wood number {number} float? {}", "So? ".repeat(5000));
    let long: Vec<String> = (0..40).map(long).collect();
    std::fs::write(folder.join("queries.json"), serde_json::json!(long).to_string()).unwrap();
    let server = simulation().start().await.unwrap();
    let more = ["--mode", "bon", "--samples", "2"];
    Running::start(over_http(folder, &server, &more)).end().with_code(0);
    let expected = read(folder.join("out/results.jsonl"));
    std::fs::rename(folder.join("out"), folder.join("once")).unwrap();
    let url = nats.url("full");
    let run = coordinator(folder, &server, &url, &more);
    let searching = worker(folder, &server, &url, &["--concurrency", "2"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!folder.join("out/results.jsonl").exists());
    nats.kill();
    nats.configure("", "max_file_store: 100000000");
    nats.restart();
    let ended = run.end().with_code(0);
    searching.end().with_code(0);
    assert!(ended.err.contains("the queue does not do what is asked"), "{}", ended.err);
    assert!(ended.err.contains("resource"), "{}", ended.err);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    verify(folder);
}
