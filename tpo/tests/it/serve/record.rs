//! Served searches in run folders, and requests that are repeated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use serde_json::{Value, json};
use textgrad_core::{Engine, EngineError, ErrorKind, Purpose, Request, engine_fn};
use textgrad_ops::sim::Sim;
use tpo::run::{RecordedRun, Status};
use tpo::serve::{Keys, Server};
use tpo::{StopReason, Tpo};

use super::{QUERY, Serving, chat_body, post, running, tpo, with_engine};

async fn recording(tpo: Tpo, directory: &Path) -> Serving {
    running(Server::builder(tpo).record(directory).await.unwrap().build()).await
}

/// The run folders, by the beginning of their names.
fn folders(directory: &Path) -> BTreeMap<String, PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (name(&path).rsplit_once('-').unwrap().0.to_owned(), path)).collect()
}

#[tokio::test]
async fn served_searches_are_runs() {
    let directory = tempfile::tempdir().unwrap();
    let serving = recording(tpo(), directory.path()).await;
    let mut ids = Vec::new();
    for model in ["tpo-d1-n3", "bon-4", "tpo-d1-n3", "tpo-d1-n3"] {
        ids.push(serving.chat(json!({"model": model})).await.ok()["tpo"]["score"].clone());
    }
    // They are there while the server runs, as they end.
    let found = folders(directory.path());
    let run = RecordedRun::open(&found["tpo-d1-n3"]).unwrap();
    assert_eq!(run.results().unwrap().map(Result::unwrap).count(), 3);
    assert!(serving.stop().await);
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["bon-d0-n4", "tpo-d1-n3"]);
    assert!(found.values().all(|path| path.to_str().unwrap().is_ascii()), "{found:?}");
    let run = RecordedRun::open(&found["tpo-d1-n3"]).unwrap();
    let verified = run.verify().unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    assert_eq!((verified.results, verified.failed), (3, 0));
    let scores: Vec<Value> =
        run.results().unwrap().map(|record| json!(record.unwrap().best.unwrap().score)).collect();
    assert_eq!(scores, [ids[0].clone(), ids[2].clone(), ids[3].clone()]);

    // A server that starts again goes on behind them.
    let serving = recording(tpo(), directory.path()).await;
    serving.chat(json!({"model": "tpo-d1-n3"})).await.ok();
    assert!(serving.stop().await);
    let verified = RecordedRun::open(&found["tpo-d1-n3"]).unwrap().verify().unwrap();
    assert!(verified.is_sound() && verified.results == 4, "{verified:?}");
}

#[tokio::test]
async fn folders_that_no_request_holds_are_closed_and_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let serving = recording(tpo(), directory.path()).await;
    let chat = async |seed: u32| {
        serving.chat(json!({"model": "bon-1", "seed": seed})).await.ok();
    };
    chat(0).await;
    let (_, first) = folders(directory.path()).pop_first().unwrap();
    let verify = || RecordedRun::open(&first).unwrap().verify().unwrap();
    for seed in 1..64 {
        chat(seed).await;
    }
    assert!(verify().is_incomplete(), "as long as it is open");
    // The first was used longest ago, ...
    chat(64).await;
    let closed = verify();
    assert!(closed.is_sound() && closed.results == 1, "{closed:?}");
    // ... and is opened again, in place of the next.
    chat(0).await;
    chat(1).await;
    assert!(verify().is_incomplete());
    // Also while requests come for those that are being closed.
    join_all((0..140).map(|request| chat(request % 70))).await;
    assert!(serving.stop().await);
    let runs = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut results = 0;
    for path in runs {
        let stopped = RecordedRun::open(path).unwrap().verify().unwrap();
        assert!(stopped.is_sound() && stopped.failed == 0, "{stopped:?}");
        results += stopped.results;
    }
    assert_eq!(results, 67 + 140);
}

/// The simulation, which can be set to fail at gradients, and the requests that it received.
fn failing(fails: &Arc<AtomicBool>) -> (Tpo, Arc<Mutex<Vec<Purpose>>>) {
    let asked: Arc<Mutex<Vec<Purpose>>> = Arc::default();
    let (written, fails, sim) = (Arc::clone(&asked), Arc::clone(fails), Arc::new(Sim::default()));
    let engine = engine_fn("sim", move |request: Request| {
        let (written, fails, sim) = (Arc::clone(&written), Arc::clone(&fails), Arc::clone(&sim));
        async move {
            if request.purpose == Purpose::Gradient && fails.load(Ordering::SeqCst) {
                return Err(EngineError::new(ErrorKind::Connection, "made to fail"));
            }
            written.lock().unwrap().push(request.purpose);
            sim.complete(&request).await
        }
    });
    (with_engine(Arc::new(engine)), asked)
}

#[tokio::test]
async fn a_repeated_request_pays_for_no_step_twice() {
    let directory = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(true));
    let (tpo, asked) = failing(&fails);
    let head = format!("{}\r\nidempotency-key: one", post("/v1/chat/completions"));
    let body = chat_body(json!({"model": "tpo-d1-n3"})).to_string();
    let serving = recording(tpo.clone(), directory.path()).await;
    let partial = serving.send(&head, &body).await.ok();
    assert_eq!(partial["tpo"]["stopped"], "error");
    assert_eq!(*asked.lock().unwrap(), [Purpose::Sample, Purpose::Loss]);

    // By the same server, ...
    fails.store(false, Ordering::SeqCst);
    let whole = serving.send(&head, &body).await.ok();
    assert_eq!(whole["tpo"]["complete"], true);
    let once = [Purpose::Sample, Purpose::Loss, Purpose::Gradient, Purpose::Update];
    assert_eq!(*asked.lock().unwrap(), once);
    // ... and by one that starts again.
    assert!(serving.stop().await);
    let serving = recording(tpo, directory.path()).await;
    let again = serving.send(&head, &body).await.ok();
    assert_eq!(again["choices"], whole["choices"]);
    // What the journal had was not asked for again, and counts for nothing.
    assert_eq!(whole["tpo"]["usage"]["requests"], 2);
    assert_eq!(
        (&again["usage"]["total_tokens"], &again["tpo"]["usage"]["scored"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(serving.metric("tpo_upstream_requests_total{purpose=\"sample\"}").await, 0.0);
    assert_eq!(*asked.lock().unwrap(), once);
    // Another key is another request.
    let other = format!("{}\r\nidempotency-key: two", post("/v1/chat/completions"));
    serving.send(&other, &body).await.ok();
    assert_eq!(asked.lock().unwrap().len(), 8);
    assert!(serving.stop().await);
    let run = RecordedRun::open(&folders(directory.path())["tpo-d1-n3"]).unwrap();
    let results: Vec<_> = run.results().unwrap().map(Result::unwrap).collect();
    assert_eq!(results.iter().map(|record| record.status).collect::<Vec<_>>(), [Status::Ok; 2]);
    assert!(results.iter().all(|record| record.query == QUERY));
    let verified = run.verify().unwrap();
    assert!(verified.is_sound(), "{verified:?}");
}

#[tokio::test]
async fn a_key_that_could_not_be_honoured_is_refused() {
    let serving = super::serve(tpo(), |builder| builder).await;
    let head = format!("{}\r\nidempotency-key: one", post("/v1/chat/completions"));
    let error = serving.send(&head, &chat_body(json!({})).to_string()).await.error(400);
    assert_eq!(error["param"], "idempotency-key");
    assert!(error["message"].as_str().unwrap().contains("--out"), "{error}");
}

#[tokio::test]
async fn equal_idempotency_keys_of_two_clients_are_two_requests() {
    let directory = tempfile::tempdir().unwrap();
    let keys = Keys::parse("made-up-1").unwrap().and(Keys::parse("made-up-2").unwrap()).unwrap();
    let server = Server::builder(tpo()).record(directory.path()).await.unwrap();
    let serving = running(server.keys(keys).build()).await;
    let body = chat_body(json!({"model": "tpo-d1-n3"})).to_string();
    let ask = async |key: &str| {
        let head = post("/v1/chat/completions");
        let head = format!("{head}\r\nidempotency-key: one\r\nauthorization: Bearer {key}");
        serving.send(&head, &body).await.ok()
    };
    let [first, second] = [ask("made-up-1").await, ask("made-up-2").await];
    assert!(second["usage"]["total_tokens"].as_u64().unwrap() > 0, "{second}");
    assert_ne!(first["choices"], second["choices"], "the second place draws other answers");
    assert_eq!(ask("made-up-1").await["choices"], first["choices"]);
    assert!(serving.stop().await);
}

#[tokio::test]
async fn searches_that_a_limit_of_their_request_ended_are_results() {
    for (limit, stopped) in [
        (json!({"deadline_ms": 300}), StopReason::Deadline),
        (json!({"budget": {"tokens": 1000}}), StopReason::Budget),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let tpo = match stopped {
            StopReason::Deadline => super::stalling(Purpose::Gradient).0,
            _ => tpo(),
        };
        let serving = recording(tpo, directory.path()).await;
        let head = format!("{}\r\nidempotency-key: one", post("/v1/chat/completions"));
        let body = chat_body(json!({"model": "tpo-d3-n3", "tpo": limit})).to_string();
        let reply = serving.send(&head, &body).await.ok();
        assert_eq!(reply["tpo"]["stopped"], json!(stopped), "{reply}");
        if stopped == StopReason::Deadline {
            let again = serving.send(&head, &body).await.ok();
            assert_eq!(again["choices"], reply["choices"]);
        }
        assert!(serving.stop().await);
        let (_, path) = folders(directory.path()).pop_first().unwrap();
        let run = RecordedRun::open(&path).unwrap();
        let record = run.result(0).unwrap();
        assert_eq!((record.status, &record.error), (Status::Ok, &None), "{limit}");
        assert_eq!(record.trajectory.stopped, Some(stopped));
        assert_eq!(json!(record.best.unwrap().score), reply["tpo"]["score"]);
        let verified = run.verify().unwrap();
        assert!(verified.is_sound() && verified.failed == 0, "{verified:?}");
        // Its graph has the iterations that were done.
        let drawn = run.align(0, Arc::new(tpo::prompts::default_pack())).await.unwrap();
        assert_eq!(drawn.trajectory().candidates, record.trajectory.candidates);
    }
}

#[tokio::test]
async fn a_folder_of_a_running_server_is_incomplete_and_what_it_has_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let serving = recording(tpo(), directory.path()).await;
    for _ in 0..2 {
        serving.chat(json!({"model": "tpo-d1-n3"})).await.ok();
    }
    let (_, path) = folders(directory.path()).pop_first().unwrap();
    let verified = RecordedRun::open(&path).unwrap().verify().unwrap();
    assert!(verified.is_incomplete() && verified.results == 2, "{verified:?}");
    let [finding] = verified.findings.as_slice() else { panic!("{verified:?}") };
    assert!(finding.problem.contains("when it starts again"), "{finding}");
    assert!(!finding.problem.contains("--resume"), "{finding}");
    // A result that nobody gave is found there too.
    let file = path.join("results.jsonl");
    let results = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, results.replacen("\"score\":", "\"score\":9", 1)).unwrap();
    let verified = RecordedRun::open(&path).unwrap().verify().unwrap();
    assert!(!verified.is_incomplete(), "{verified:?}");
    std::fs::write(&file, results).unwrap();
    assert!(serving.stop().await);
    let verified = RecordedRun::open(&path).unwrap().verify().unwrap();
    assert!(verified.is_sound() && verified.results == 2, "{verified:?}");
}

#[tokio::test]
async fn the_same_key_twice_at_a_time_is_a_conflict_and_gates_are_recorded_too() {
    let directory = tempfile::tempdir().unwrap();
    let (tpo, stalled) = super::stalling(Purpose::Loss);
    let serving = recording(tpo, directory.path()).await;
    let head = format!("{}\r\nidempotency-key: one", post("/v1/chat/completions"));
    let body = chat_body(json!({})).to_string();
    let first = serving.begin(&head, &body).await;
    super::until("the first begins", async || stalled.load(Ordering::SeqCst) == 1).await;
    serving.send(&head, &body).await.error(409);
    drop(first);
    let gated = chat_body(json!({"tpo": {"gate": {"score": -100.0}}})).to_string();
    super::until("the client that left holds its key", async || {
        serving.send(&head, &gated).await.status == 200
    })
    .await;
    assert!(serving.stop().await);
    let found = folders(directory.path());
    for (name, failed) in [("bon-d2-n1", 0), ("tpo-d2-n5", 1)] {
        let Some(path) = found.get(name).or_else(|| found.get("bon-d0-n1")) else {
            panic!("{found:?}")
        };
        let verified = RecordedRun::open(path).unwrap().verify().unwrap();
        assert!(verified.is_sound() && verified.failed == failed, "{name}: {verified:?}");
    }
}
