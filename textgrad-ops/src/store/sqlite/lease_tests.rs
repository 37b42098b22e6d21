//! Requests that several processes make, and calls that are interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use textgrad_core::{
    Choice, Engine, EngineError, ErrorKind, FinishReason, Request, Sampling, engine_fn,
};

use super::super::key::request_key;
use super::tests::{counting, open, place, request, text};
use super::*;
use crate::layer::EngineExt;

#[tokio::test]
async fn a_request_that_another_process_makes_is_waited_for() {
    let (_folder, path) = place();
    let (first, second) = (open(&path).await, open(&path).await);
    let (engine, calls) = counting("e");
    let slow = engine_fn("e", |_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Response::new(vec![Choice::new("x", FinishReason::Stop)]))
    });
    let (slow, engine) = (slow.disk_cached(&first), engine.disk_cached(&second));
    let (ask, other) = (request("x"), request("y"));
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(text(&engine, &other).await, "y", "others do not wait");
        text(&engine, &ask).await
    };
    let texts = futures_util::future::join(text(&slow, &ask), later).await;
    assert_eq!(texts, ("x".to_owned(), "x".to_owned()));
    assert_eq!((calls.load(Ordering::SeqCst), second.stats().hits), (1, 1));

    // One that fails, and one whose caller goes away, are not waited for any longer.
    let failing =
        engine_fn("e", |_| std::future::ready(Err(EngineError::new(ErrorKind::Auth, "no"))));
    failing.disk_cached(&first).complete(&request("failed")).await.unwrap_err();
    let never = engine_fn("e", |_| std::future::pending()).disk_cached(&first);
    let gone = request("gone");
    let left = tokio::time::timeout(Duration::from_millis(50), never.complete(&gone));
    left.await.unwrap_err();
    let begun = Instant::now();
    assert_eq!(text(&engine, &request("failed")).await, "failed");
    assert_eq!(text(&engine, &gone).await, "gone");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// Kind: Costs | a process that is killed while others wait for its request | another one makes it after three seconds
#[tokio::test]
async fn the_lease_of_a_killed_process_expires() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, calls) = counting("e");
    let engine = engine.disk_cached(&cache);
    let key = request_key("e", &request("x")).to_string();
    let claim = move |store: &mut Database| {
        let expires = (store.clock)() + 300;
        store.db.execute("INSERT INTO leases VALUES (?1, 1, ?2)", (key, expires)).map(drop)
    };
    cache.store().call(claim).await.unwrap();
    let begun = Instant::now();
    assert_eq!(text(&engine, &request("x")).await, "x");
    let waited = begun.elapsed().as_millis();
    assert!((250..3000).contains(&waited), "{waited}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// Kind: Costs | a lease that ends later than any can, as after a change of the clock | not waited for
#[tokio::test]
async fn a_lease_that_ends_later_than_any_can_is_not_waited_for() {
    let (_folder, path) = place();
    let cache = open(&path).await;
    let (engine, calls) = counting("e");
    let engine = engine.disk_cached(&cache);
    for (ask, expires) in [("x", i64::MAX), ("y", 1 << 50)] {
        let key = request_key("e", &request(ask)).to_string();
        let claim = move |store: &mut Database| {
            store.db.execute("INSERT INTO leases VALUES (?1, 1, ?2)", (key, expires)).map(drop)
        };
        cache.store().call(claim).await.unwrap();
        let asked_for = request(ask);
        let answered = tokio::time::timeout(Duration::from_secs(20), text(&engine, &asked_for));
        assert_eq!(answered.await.expect("it waits"), ask);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn choices_that_are_asked_for_one_by_one_are_each_kept() {
    let (_folder, path) = place();
    let asked = Arc::new(AtomicU64::new(0));
    let singles = |delivered: u64| {
        let asked = Arc::clone(&asked);
        let engine = engine_fn("e", move |request: Request| {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            async move {
                if number >= delivered {
                    std::future::pending::<()>().await;
                }
                let seed = request.sampling.seed.unwrap().to_string();
                Ok(Response::new(vec![Choice::new(seed, FinishReason::Stop)]))
            }
        });
        engine.complete_choices().always_single()
    };
    let ask = request("x").with_sampling(Sampling::default().with_n(5).with_seed(10));
    let cache = open(&path).await;
    let killed = singles(3).disk_cached(&cache);
    let left = tokio::time::timeout(Duration::from_millis(200), killed.complete(&ask));
    left.await.unwrap_err();
    assert_eq!((asked.swap(0, Ordering::SeqCst), cache.info().await.unwrap().entries), (5, 3));
    let whole = singles(9).disk_cached(&cache).complete(&ask).await.unwrap();
    let texts: Vec<_> = whole.choices.iter().map(|choice| choice.text.as_str()).collect();
    assert_eq!(texts, ["10", "11", "12", "13", "14"]);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "those that were not delivered");
    // A request for one of them alone is the same request.
    let mut one = ask.clone();
    one.sampling = one.sampling.with_n(1).with_seed(12);
    assert_eq!(text(&singles(0).disk_cached(&cache), &one).await, "12");
}
