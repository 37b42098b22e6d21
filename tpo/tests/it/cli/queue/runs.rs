//! Several runs at one server: those of a study, one after the other at one address, and with a cache in common.

use std::path::Path;
use std::process::Command;

use textgrad_tests::fake_server::{FakeServer, Route};
use textgrad_tests::nats::NatsServer;

use super::super::interrupt::send;
use super::super::{
    arrived, folder, over_http, pointed_at, program, queries, read, simulation, study, study_lists,
};
use super::{Running, coordinator, summary, verify, worker};

const GRID: [&str; 6] = ["--modes", "tpo,bon", "--iterations", "0,1,2", "--seeds", "1,2"];

fn study_of(folder: &Path, server: &FakeServer, more: &[&str]) -> Command {
    let mut command = program(folder);
    command.args(["study", "--data", "queries.json", "--json"]).args(GRID);
    if !more.contains(&"--out") {
        command.args(["--out", "out"]);
    }
    command.args(pointed_at(server)).args(more);
    command
}

/// Chats and scores that a server was asked for.
fn asked(server: &FakeServer) -> [u64; 2] {
    let stats = server.stats();
    [Route::Chat, Route::Classify].map(|route| stats.route(route).requests)
}

/// The results of a study in one process, and what its server was asked for.
async fn undisturbed(count: usize) -> (Vec<(String, String)>, [u64; 2]) {
    let folder = folder();
    let folder = folder.path();
    queries(folder, count);
    let server = simulation().start().await.unwrap();
    Running::start(study_of(folder, &server, &[])).end().with_code(0);
    (study::results(&folder.join("out")), asked(&server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_by_workers_is_that_of_one_process_and_asks_for_no_more() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let expected = undisturbed(3).await;
    queries(folder, 3);
    let (server, url) = (simulation().start().await.unwrap(), nats.url("study"));
    // More than there are queries: some have no part in the last run, and end with it, too.
    let workers = [(); 4].map(|()| worker(folder, &server, &url, &[]));
    let ended = Running::start(study_of(folder, &server, &["--queue", &url])).end().with_code(0);
    assert!(ended.err.contains("study of"), "{}", ended.err);
    for worker in workers {
        worker.end().with_code(0);
    }
    assert_eq!((study::results(&folder.join("out")), asked(&server)), expected);
}

/// A worker has the packs of a study, and takes that of each run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_of_wordings_by_workers_is_that_of_one_process() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    queries(folder, 2);
    study_lists::wording(folder, "brief", "Be brief.");
    let server = simulation().start().await.unwrap();
    let url = nats.url("study");
    let packs = |packs: &'static str, out: &'static str| ["--prompts", packs, "--out", out];
    let whole = study_of(folder, &server, &packs("brief,default", "whole"));
    Running::start(whole).end().with_code(0);
    let workers = [(); 2].map(|()| worker(folder, &server, &url, &["--prompts", "brief"]));
    let by_queue = [&packs("brief,default", "out")[..], &["--queue", &url]].concat();
    Running::start(study_of(folder, &server, &by_queue)).end().with_code(0);
    for worker in workers {
        worker.end().with_code(0);
    }
    let results = ["out", "whole"].map(|out| study::results(&folder.join(out)));
    assert_eq!(results[0], results[1]);
    assert!(results[0].iter().any(|(cell, _)| cell == "tpo-brief-d2-n5-t0.7-s1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_goes_on_after_kills_of_its_coordinator() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    let (expected, [chats, scores]) = undisturbed(3).await;
    queries(folder, 3);
    let (server, url) = (simulation().start().await.unwrap(), nats.url("study"));
    let worker = worker(folder, &server, &url, &[]);
    let all = chats + scores;
    for (kill, part) in (1..).zip([all / 8, all * 5 / 6]) {
        let resume: &[&str] = if kill > 1 { &["--resume"] } else { &[] };
        let arguments = [&["--queue", &url], resume].concat();
        let mut run = Running::start(study_of(folder, &server, &arguments));
        server.ended(part).await;
        run.kill();
        run.end();
    }
    let last = study_of(folder, &server, &["--queue", &url, "--resume"]);
    Running::start(last).end().with_code(0);
    worker.end().with_code(0);
    assert_eq!((study::results(&folder.join("out")), asked(&server)), (expected, [chats, scores]));
}

/// A worker that slept through the end of its run does not disturb the next one at its address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_an_earlier_run_has_no_part_in_a_later_one() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    queries(folder, 3);
    let (server, url) = (simulation().start().await.unwrap(), nats.url("again"));
    Running::start(over_http(folder, &server, &["--seed", "8"])).end().with_code(0);
    let expected = read(folder.join("out/results.jsonl"));
    std::fs::remove_dir_all(folder.join("out")).unwrap();

    server.answer_at_most(0);
    let first = coordinator(folder, &server, &url, &[]);
    let asleep = worker(folder, &server, &url, &[]);
    arrived(&server).await;
    send("STOP", &asleep);
    server.answer_at_most(u64::MAX);
    let awake = worker(folder, &server, &url, &[]);
    first.end().with_code(0);
    awake.end().with_code(0);
    std::fs::rename(folder.join("out"), folder.join("first")).unwrap();

    let second = coordinator(folder, &server, &url, &["--seed", "8"]);
    send("CONT", &asleep);
    asleep.end().with_code(0);
    let awake = worker(folder, &server, &url, &[]);
    let ended = second.end().with_code(0);
    awake.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    assert_eq!(summary(&ended)["queue"]["workers"].as_object().unwrap().len(), 1);
    verify(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_share_a_cache_at_the_server() {
    let folder = folder();
    let folder = folder.path();
    let Some(mut nats) = NatsServer::start(folder, "", "") else { return };
    queries(folder, 3);
    let (server, url) = (simulation().start().await.unwrap(), nats.url("answers"));
    let run = || Running::start(over_http(folder, &server, &["--json", "--cache", &url])).end();
    run().with_code(0);
    let expected = read(folder.join("out/results.jsonl"));
    std::fs::remove_dir_all(folder.join("out")).unwrap();
    let [chats, _] = asked(&server);
    let searching = worker(folder, &server, &url, &["--cache", &url]);
    coordinator(folder, &server, &url, &[]).end().with_code(0);
    let ended = searching.end().with_code(0);
    assert_eq!(read(folder.join("out/results.jsonl")), expected);
    assert_eq!(asked(&server)[0], chats, "all answers are in the cache: {}", ended.out);

    // Without the server, nothing can be looked up, and nothing is lost.
    nats.kill();
    std::fs::remove_dir_all(folder.join("out")).unwrap();
    run().refused(&["expected a NATS server"]);
}
