//! Coordinators and workers that begin, wait, end and are refused.

use std::process::Command;
use std::time::Duration;

use textgrad_tests::fake_server::FaultRule;
use textgrad_tests::nats::NatsServer;

use super::super::{arrived, folder, json_lines, queries, read, simulation};
use super::{
    Running, asked_again, coordinator, over_http, summary, undisturbed, until, verify, worker,
    worker_command,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_before_and_after_the_coordinator_make_the_run_of_one_process() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(12).await;
    queries(folder, 12);
    let (server, url) = (simulation().start().await.unwrap(), nats.url("roles"));
    let early = worker(folder, &server, &url, &["--concurrency", "2"]);
    let run = coordinator(folder, &server, &url, &[]);
    let late = worker(folder, &server, &url, &["--concurrency", "2"]);
    let ended = run.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    verify(folder);
    let summary = summary(&ended);
    let queue = &summary["queue"];
    assert_eq!((&queue["redelivered"], &queue["asked_again"]), (&0.into(), &0.into()));
    assert_eq!((summary["succeeded"].as_u64(), asked_again(folder, &server)), (Some(12), 0));
    let workers = queue["workers"].as_object().unwrap().values();
    assert_eq!(workers.map(|worker| worker["queries"].as_u64().unwrap()).sum::<u64>(), 12);
    for worker in [early, late] {
        worker.end().with_code(0);
    }
    // All is done: nothing is asked for again, and no worker is needed.
    let journal = read(folder.join("out/journal.jsonl"));
    coordinator(folder, &server, &url, &["--resume"]).end().with_code(0);
    assert_eq!(
        (read(folder.join("out/journal.jsonl")), asked_again(folder, &server)),
        (journal, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_coordinators_and_other_settings_are_refused() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let others = ["second", "third"].map(|name| folder.join(name));
    for place in others.iter().map(AsRef::as_ref).chain([folder]) {
        std::fs::create_dir_all(place).unwrap();
        queries(place, 3);
    }
    let server = simulation().start().await.unwrap();
    let url = nats.url("two");
    let mut first = coordinator(folder, &server, &url, &[]);
    until("a run folder", || folder.join("out/config.json").exists()).await;
    // While it is at work, and with its folder after that: another coordinator of this queue.
    coordinator(&others[0], &server, &url, &[])
        .end()
        .refused(&["expected no coordinator", "at work"]);
    // A worker with another model, and one that names a setting of the search.
    let model = ["--concurrency", "1"];
    let mut other = worker_command(folder, &server, &url, &model);
    other.args(["--critic", "sim"]);
    Running::start(other).end().refused(&["expected the settings of the run", "critic"]);
    worker(folder, &server, &url, &["--samples", "3"])
        .end()
        .refused(&["--samples", "from its run"]);
    first.kill();
    first.end();
    // Another run in the place of one that is not over; then the run itself.
    coordinator(&others[1], &server, &url, &["--seed", "8"])
        .end()
        .refused(&["search.seed", "name another queue"]);
    coordinator(&others[1], &server, &url, &[])
        .end()
        .refused(&["expected no run, got this one", "--resume"]);
    assert!(!others[1].join("out").exists(), "a run that is refused leaves nothing behind");
    let searching = worker(folder, &server, &url, &[]);
    coordinator(folder, &server, &url, &["--resume"]).end().with_code(0);
    searching.end().with_code(0);
    verify(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_stopped_gives_its_queries_back() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(6).await;
    queries(folder, 6);
    let server = simulation().latency(Duration::from_millis(10)).start().await.unwrap();
    let url = nats.url("stop");
    let run = coordinator(folder, &server, &url, &["--concurrency", "100"]);
    let first = worker(folder, &server, &url, &[]);
    server.ended(20).await;
    super::super::interrupt::send("TERM", &first);
    let ended = first.end().with_code(130);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert!(report["worker"]["given_back"].as_u64().unwrap() > 0, "{report}");
    let second = worker(folder, &server, &url, &[]);
    let ended = run.end().with_code(0);
    second.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    assert_eq!(
        (asked_again(folder, &server), &summary(&ended)["queue"]["asked_again"]),
        (0, &0.into())
    );
    assert!(summary(&ended)["queue"]["redelivered"].as_u64().unwrap() > 0);
}

/// A query whose every search fails is given up after five deliveries, reported, and searched again on request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_query_is_parked_and_searched_again_on_request() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(3).await;
    queries(folder, 3);
    let server = simulation().start().await.unwrap();
    server.answer_at_most(0);
    let url = nats.url("poison");
    let run = coordinator(folder, &server, &url, &[]);
    // Workers that die on the first query that they have.
    for _ in 0..5 {
        let mut dies = worker(folder, &server, &url, &["--concurrency", "1"]);
        arrived(&server).await;
        dies.kill();
        dies.end();
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    server.answer_at_most(u64::MAX);
    let last = worker(folder, &server, &url, &["--concurrency", "1"]);
    let ended = run.end().with_code(3);
    last.end().with_code(0);
    let results = json_lines(&read(folder.join("out/results.jsonl")));
    let failed: Vec<_> = results.iter().filter(|line| line["status"] == "error").collect();
    assert!(!failed.is_empty() && failed.len() < 3, "{} failed", failed.len());
    let message = failed[0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("given up after 5 deliveries without a step"), "{message}");
    assert!(ended.err.contains("given up after 5 deliveries"), "{}", ended.err);

    let last = worker(folder, &server, &url, &[]);
    coordinator(folder, &server, &url, &["--resume"]).end().with_code(0);
    last.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    verify(folder);
}

/// A server of one worker that fails has its queries searched by another worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_of_a_worker_whose_server_fails_go_to_another() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(6).await;
    queries(folder, 6);
    let url = nats.url("failing");
    let good = simulation().start().await.unwrap();
    let rule: FaultRule = "500@always,chat".parse().unwrap();
    let bad = simulation().fault(rule).start().await.unwrap();
    let run = coordinator(folder, &good, &url, &[]);
    let failing =
        worker(folder, &bad, &url, &["--retries", "0", "--max-consecutive-failures", "2"]);
    let ended = failing.end().with_code(1);
    assert!(ended.err.contains("a server fails each request"), "{}", ended.err);
    let searching = worker(folder, &good, &url, &[]);
    run.end().with_code(0);
    searching.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
}

/// Texts beyond the largest message of the server are sent in parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_beyond_the_largest_message_are_sent_in_parts() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "max_payload: 8192", "") else { return };
    let long = "Why does wood float? ".repeat(1500);
    std::fs::write(folder.join("queries.json"), serde_json::json!([long, "And ice?"]).to_string())
        .unwrap();
    let server = simulation().start().await.unwrap();
    let once = over_http(folder, &server, &[]);
    Running::start(once).end().with_code(0);
    let expected = read(folder.join("out/results.jsonl"));
    std::fs::rename(folder.join("out"), folder.join("once")).unwrap();
    let url = nats.url("parts");
    let searching = worker(folder, &server, &url, &[]);
    coordinator(folder, &server, &url, &[]).end().with_code(0);
    searching.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    verify(folder);
}

/// Credentials come from the variables of the program `nats`, and are in no error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_those_of_the_environment() {
    let folder = folder();
    let folder = folder.path();
    let lines = "authorization: { user: \"tpo\", password: \"sesame\" }";
    let Some(nats) = NatsServer::start(folder, lines, "") else { return };
    queries(folder, 2);
    let server = simulation().start().await.unwrap();
    let url = nats.url("secret");
    let wrong = url.replace("nats://", "nats://tpo:sesamum@");
    for url in [&url, &wrong] {
        let ended = coordinator(folder, &server, url, &[]).end().with_code(2);
        assert!(ended.err.contains("authorization violation"), "{}", ended.err);
        assert!(!ended.err.contains("sesam"), "{}", ended.err);
        assert!(!folder.join("out").exists());
    }
    let with = |mut command: Command| {
        command.env("NATS_USER", "tpo").env("NATS_PASSWORD", "sesame");
        Running::start(command)
    };
    let searching = with(worker_command(folder, &server, &url, &[]));
    let run = with(over_http(folder, &server, &["--queue", &url]));
    run.end().with_code(0);
    searching.end().with_code(0);
    for file in ["config.json", "journal.jsonl", "results.jsonl"] {
        assert!(!read(folder.join("out").join(file)).contains("sesame"), "{file}");
    }
}
