//! Tests of the cache file: what is kept, for whom, and that failures lose nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{
    Choice, Engine, ErrorKind, FinishReason, Image, Message, MessageRole, Part, Purpose, Request,
    Sampling, Usage, engine_fn,
};

use super::super::key::request_key;
use super::*;
use crate::layer::EngineExt;
use crate::store::CacheStats;

pub(super) fn request(text: &str) -> Request {
    Request::new(Purpose::Sample, [Message::user(text)])
}

/// A folder, and a file in it that is not there yet.
pub(super) fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers");
    (folder, path)
}

pub(super) async fn open(path: &Path) -> SqliteCache {
    SqliteCache::open(path, SqliteConfig::default()).await.unwrap()
}

pub(super) async fn text<E: Engine>(engine: &E, ask: &Request) -> String {
    engine.complete(ask).await.unwrap().choices.remove(0).text
}

/// Says how often it was asked.
pub(super) fn counting(name: &str) -> (impl Engine + Clone + 'static, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let engine = engine_fn(name, move |request: Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::task::yield_now().await;
            let text = request.messages[0].text();
            Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)]))
        }
    });
    (engine, calls)
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_when_the_file_is_opened_again() {
    let (_folder, path) = place();
    let image = Image::new(vec![0, 255, 7], "image/png").unwrap();
    let mut ask =
        request("a \u{0}\u{7f}\u{e9}\u{1f600}</x>{{y}} \"quoted\"\r\n'; DROP TABLE entries; --");
    ask.messages.push(Message::new(MessageRole::User, [Part::Image(image)]));
    ask.sampling = Sampling::default().with_n(2).with_temperature(0.1 + 0.2);
    let awkward = "\u{0}\u{feff}\u{2028}\\ \u{1f469}\u{200d}\u{1f52c} '\"";
    let usage =
        Usage { prompt_tokens: 10, completion_tokens: 3, cached_tokens: 4, ..Usage::default() };
    let response = Response::new(vec![
        Choice::new(awkward, FinishReason::Stop),
        Choice::new("", FinishReason::Stop),
    ])
    .with_usage(usage)
    .with_model("m-1");
    let live = response.clone();
    let engine = engine_fn("live", move |_| std::future::ready(Ok(live.clone())));
    let first = engine.disk_cached(open(&path).await);
    assert_eq!(first.complete(&ask).await.unwrap(), response);
    drop(first);

    let named = engine_fn("live", move |_| {
        std::future::ready(Err(EngineError::new(ErrorKind::Other, "asked")))
    });
    let cache = open(&path).await;
    let again = named.disk_cached(&cache);
    let back = again.complete(&ask).await.unwrap();
    assert_eq!(back, response);
    assert_eq!(serde_json::to_vec(&back).unwrap(), serde_json::to_vec(&response).unwrap());
    assert_eq!(cache.stats(), CacheStats { hits: 1, ..Default::default() });

    let stored = cache.entry(&request_key("live", &ask).to_string().to_uppercase()).await.unwrap();
    assert_eq!(stored.request, Some(ask));
    assert_eq!(stored.response, response);
    assert_eq!((stored.entry.engine.as_str(), stored.entry.model.as_str()), ("live", "m-1"));
    assert_eq!((stored.entry.purpose.as_str(), stored.entry.usage), ("sample", usage));
    assert_eq!(cache.info().await.unwrap().usage, usage);
}

#[tokio::test]
async fn another_question_sampling_or_engine_is_another_entry() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, calls) = counting("e");
    let (other, other_calls) = counting("other");
    let (engine, other) = (engine.disk_cached(&cache), other.disk_cached(&cache));
    let changes: Vec<fn(&mut Request)> = vec![
        |_| {},
        |r| r.messages[0] = Message::user("y"),
        |r| r.messages[0] = Message::system("x"),
        |r| r.sampling.temperature = Some(0.5),
        |r| r.sampling.top_p = Some(0.5),
        |r| r.sampling.max_tokens = Some(5),
        |r| r.sampling.seed = Some(8),
        |r| r.sampling.stop = vec!["END".into()],
        |r| {
            r.sampling.extra =
                json!({"response_format": {"type": "json_object"}}).as_object().unwrap().clone()
        },
    ];
    let all = changes.len() as u64;
    for _ in 0..2 {
        for change in &changes {
            let mut ask = request("x");
            change(&mut ask);
            engine.complete(&ask).await.unwrap();
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), all);
    other.complete(&request("x")).await.unwrap();
    assert_eq!(other_calls.load(Ordering::SeqCst), 1);
    let mut judged = request("x");
    judged.purpose = Purpose::Judge;
    engine.complete(&judged).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), all, "why it is asked does not matter");
    assert_eq!(cache.info().await.unwrap().entries, all + 1);
}

#[tokio::test]
async fn only_whole_answers_are_kept() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let choice = |reason: &str| Choice::new("x", FinishReason::from(reason.to_owned()));
    let replies = [
        Reply::error(EngineError::new(ErrorKind::Server, "down")),
        Reply::choices([choice("stop"), choice("length")]),
        Reply::choices([choice("content_filter"), choice("stop")]),
        Reply::choices([choice("stop"), choice("abort")]),
        Reply::choices([choice("stop"), choice("")]),
        Reply::choices([choice("stop")]),
        Reply::choices([]),
    ];
    let bad = replies.len() as u64;
    let whole = Reply::choices([choice("stop"), choice("stop")]);
    let script = Arc::new(ScriptedEngine::new(replies.into_iter().chain([whole])));
    let engine = Arc::clone(&script).disk_cached(&cache);
    let ask = request("x").with_sampling(Sampling::default().with_n(2));
    for _ in 0..bad {
        let _ = engine.complete(&ask).await;
        assert_eq!(cache.info().await.unwrap().entries, 0);
    }
    for _ in 0..2 {
        assert_eq!(engine.complete(&ask).await.unwrap().choices.len(), 2);
    }
    let stats = CacheStats { hits: 1, misses: bad + 1, not_kept: bad - 1, ..Default::default() };
    assert_eq!(cache.stats(), stats);
    assert_eq!(script.requests().len() as u64, bad + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_handles_on_one_file_and_many_tasks_lose_nothing() {
    const QUESTIONS: u64 = 200;
    let (_folder, path) = place();
    let (engine, calls) = counting("e");
    let handles = join_all((0..2).map(|_| open(&path))).await;
    let tasks = (0..QUESTIONS * 4).map(|task| {
        let engine = engine.clone().disk_cached(&handles[task as usize % 2]);
        tokio::spawn(async move {
            let ask = (task / 4).to_string();
            assert_eq!(text(&engine, &request(&ask)).await, ask);
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    // Each question has two tasks on each handle.
    assert_eq!(calls.load(Ordering::SeqCst), QUESTIONS);
    for cache in &handles {
        assert_eq!(cache.stats().failures, 0);
        assert!(cache.is_idle());
    }
    let info = handles[0].info().await.unwrap();
    assert_eq!(info.entries, QUESTIONS);
    assert_eq!(handles[1].check().await.unwrap(), [""; 0]);
    let third = open(&path).await;
    let engine = engine.disk_cached(&third);
    for ask in 0..QUESTIONS {
        assert_eq!(text(&engine, &request(&ask.to_string())).await, ask.to_string());
    }
    assert_eq!(third.stats().hits, QUESTIONS);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_a_paid_answer_along() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, calls) = counting("e");
    let engine = engine.disk_cached(&cache);
    let ask = request("x");
    let mut gone = Box::pin(engine.complete(&ask));
    while calls.load(Ordering::SeqCst) == 0 {
        assert!(futures_util::poll!(&mut gone).is_pending());
        tokio::task::yield_now().await;
    }
    // The file is held until its caller is gone.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut holding = Box::pin(cache.store().call(move |_| Ok(held.recv().is_ok())));
    assert!(futures_util::poll!(&mut holding).is_pending());
    // Now the answer comes, and waits to be kept.
    assert!(futures_util::poll!(&mut gone).is_pending());
    drop(gone);
    release.send(()).unwrap();
    assert!(holding.await.unwrap());
    cache.flush().await.unwrap();
    assert_eq!(text(&engine, &ask).await, "x");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(cache.stats().hits, 1);
}

#[tokio::test]
async fn a_cache_that_fails_during_a_run_loses_no_answer() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, calls) = counting("e");
    let engine = engine.disk_cached(&cache);
    assert_eq!(text(&engine, &request("kept")).await, "kept");
    // The disk is full.
    let full = |store: &mut Database| store.limit_pages(1);
    cache.store().call(full).await.unwrap();
    let big = "x".repeat(100_000);
    assert_eq!(text(&engine, &request(&big)).await, big);
    assert_eq!(cache.stats().failures, 1);
    assert_eq!(text(&engine, &request("kept")).await, "kept");
    assert_eq!((cache.stats().hits, cache.stats().failures), (1, 1));
    // Another process spoils the file.
    cache.store().call(|store| store.spoil()).await.unwrap();
    assert_eq!(text(&engine, &request("kept")).await, "kept");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    // Two lookups (before and after its turn) and an insert.
    assert_eq!(cache.stats().failures, 4);
    assert!(cache.is_idle());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_asked_for_again_and_replaced() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, calls) = counting("e");
    let engine = engine.disk_cached(&cache);
    engine.complete(&request("x")).await.unwrap();
    cache.store().call(|store| store.garble()).await.unwrap();
    let key = request_key("e", &request("x")).to_string();
    let error = cache.entry(&key).await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert_eq!(text(&engine, &request("x")).await, "x");
    assert_eq!(text(&engine, &request("x")).await, "x");
    assert_eq!((calls.load(Ordering::SeqCst), cache.stats().hits), (2, 1));
    assert!(cache.stats().failures > 0);
}

/// Kind: Costs | an entry of a cache file that is damaged | dropped with a warning; its request is made again
#[tokio::test]
async fn an_entry_whose_checksum_does_not_match_is_dropped_and_asked_for_again() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, calls) = counting("e");
    let engine = engine.disk_cached(&cache);
    for ask in ["x", "z"] {
        engine.complete(&request(ask)).await.unwrap();
    }
    cache.store().call(|store| store.flip()).await.unwrap();
    let key = request_key("e", &request("x")).to_string();
    let found = cache.check().await.unwrap();
    assert_eq!(found, [format!("the checksum of the entry {key} does not match")]);
    for _ in 0..2 {
        assert_eq!(text(&engine, &request("x")).await, "x");
        assert_eq!(text(&engine, &request("z")).await, "z");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert_eq!(cache.check().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn requests_are_left_out_where_they_are_not_wanted() {
    let (_folder, path) = place();
    let config = SqliteConfig::default().keep_requests(false);
    let cache = SqliteCache::open(&path, config).await.unwrap();
    let engine = ScriptedEngine::new(["answer"]).disk_cached(&cache);
    let ask = request("a secret question");
    assert_eq!(text(&engine, &ask).await, "answer");
    assert_eq!(text(&engine, &ask).await, "answer");
    let stored = cache.entry(&request_key("scripted", &ask).to_string()).await.unwrap();
    assert_eq!(stored.request, None);
    cache.flush().await.unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
}

#[tokio::test]
async fn a_file_stays_below_its_bound() {
    let (_folder, path) = place();
    let bound = 400_000;
    let config = SqliteConfig::default().max_bytes(bound);
    let cache = SqliteCache::open(&path, config).await.unwrap();
    let (engine, _) = counting("e");
    let engine = engine.disk_cached(&cache);
    for question in 0..100 {
        engine.complete(&request(&format!("{question} {}", "x".repeat(5000)))).await.unwrap();
    }
    let info = cache.info().await.unwrap();
    assert!(info.bytes <= bound && info.entries > 10 && info.entries < 60, "{info:?}");
    cache.flush().await.unwrap();
    // One answer more than it may be, before the oldest make room.
    assert!(std::fs::metadata(&path).unwrap().len() < bound + 20_000);
}

fn beginning(key: &str) -> &str {
    key.get(..4).unwrap()
}

#[tokio::test]
async fn entries_are_named_by_the_beginning_of_their_key() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, _) = counting("e");
    let engine = engine.disk_cached(&cache);
    engine.complete(&request("x")).await.unwrap();
    let key = request_key("e", &request("x")).to_string();
    assert_eq!(cache.entry(beginning(&key)).await.unwrap().entry.key, key);
    for wrong in ["", "abc", "ghij", "%%%%", &"a".repeat(65)] {
        let error = cache.entry(wrong).await.unwrap_err();
        assert!(error.to_string().contains("expected a key"), "{error}");
    }
    let other = if key.starts_with('0') { "1111" } else { "0000" };
    let error = cache.entry(other).await.unwrap_err();
    assert!(error.to_string().contains("no entry has a key that begins with"), "{error}");
    // Two questions whose keys begin alike.
    let mut seen = std::collections::HashMap::new();
    let (first, second) = (0..5000)
        .find_map(|question| {
            let key = request_key("e", &request(&question.to_string())).to_string();
            seen.insert(beginning(&key).to_owned(), question).map(|first| (first, question))
        })
        .unwrap();
    for question in [first, second] {
        engine.complete(&request(&question.to_string())).await.unwrap();
    }
    let key = request_key("e", &request(&first.to_string())).to_string();
    let error = cache.entry(beginning(&key)).await.unwrap_err();
    assert!(error.to_string().contains("several entries have keys"), "{error}");
    assert_eq!(cache.entry(&key).await.unwrap().entry.key, key);
}
