use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use textgrad_core::{ErrorKind, Seed};

use super::*;
use crate::layer::{Breaker, CallPolicy, Limiter, Limits, RetryPolicy};

fn refused() -> EngineError {
    EngineError::new(ErrorKind::RateLimited, "Too many requests").with_status(429)
}

/// Sends so many requests, eight at a time. Returns the time that it took and the number of requests sent.
async fn served(requests: usize, accept: impl FnMut(f64) -> bool) -> (f64, u32) {
    let (start, sent, accept) = (Instant::now(), AtomicU32::new(0), Mutex::new(accept));
    let limiter = Limiter::new(Limits::default().concurrency(8));
    // Retries are for other failures.
    let calls = CallPolicy::default().limits(limiter).retry(RetryPolicy::default().max_retries(0));
    let call = |_| async {
        sent.fetch_add(1, Ordering::Relaxed);
        let is_accepted = (accept.lock())(start.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_millis(if is_accepted { 300 } else { 20 })).await;
        if is_accepted { Ok(()) } else { Err(refused()) }
    };
    let all = (0..requests).map(|_| calls.run(Seed::new(0), 0, call));
    for result in join_all(all).await {
        result.unwrap();
    }
    (start.elapsed().as_secs_f64(), sent.into_inner())
}

/// Kind: Errors | 429 without a wait, from a window or a bucket of any length | all requests pause; their rate
/// adapts; no retries
#[tokio::test(start_paused = true)]
async fn a_server_that_names_no_wait_is_served_at_its_rate() {
    // A bucket of one request that refills every two seconds.
    let mut last = f64::NEG_INFINITY;
    let bucket = move |now: f64| {
        let is_full = now - last >= 2.0;
        last = if is_full { now } else { last };
        is_full
    };
    let (seconds, sent) = served(60, bucket).await;
    assert!(seconds < 120.0 * 1.4 && sent < 90, "{seconds} s, {sent} requests");

    // A sliding window of 10 requests in 60 seconds.
    let mut passed = VecDeque::new();
    let window = move |now: f64| {
        passed.retain(|at| now - at < 60.0);
        let is_open = passed.len() < 10;
        passed.extend(is_open.then_some(now));
        is_open
    };
    let (seconds, sent) = served(40, window).await;
    assert!(seconds < 240.0 * 1.2 && sent < 70, "{seconds} s, {sent} requests");

    // Two requests in each second of the clock.
    let mut second = (0.0, 0);
    let clock = move |now: f64| {
        second = if second.0 == now.floor() { (second.0, second.1 + 1) } else { (now.floor(), 1) };
        second.1 <= 2
    };
    let (seconds, sent) = served(100, clock).await;
    assert!(seconds < 50.0 * 1.4 && sent < 150, "{seconds} s, {sent} requests");
}

/// Sends 64 requests at once to a server that is down for so many seconds. Returns the results, the attempts, and
/// the seconds that they took.
async fn sent_to(kind: ErrorKind, down: u64) -> (Vec<Result<(), EngineError>>, u32, u64) {
    let (start, sent, breaker) = (Instant::now(), AtomicU32::new(0), Breaker::new(10));
    let retry = RetryPolicy::default().max_retries(5);
    let calls = CallPolicy::default().retry(retry).breaker(breaker.clone());
    let call = |_| async {
        sent.fetch_add(1, Ordering::Relaxed);
        match start.elapsed().as_secs() < down {
            true => Err(EngineError::new(kind, "down")),
            false => Ok(()),
        }
    };
    let results = join_all((0..64).map(|seed| calls.run(Seed::new(seed), 0, call))).await;
    assert_eq!(breaker.opened().is_some(), results.iter().all(Result::is_err));
    (results, sent.into_inner(), start.elapsed().as_secs())
}

/// Kind: Errors | each connection refused, or 502 and 503, for many requests at once | one attempt at a time; after
/// six of them all that wait fail, and the run ends
#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_tried_by_one_request_at_a_time() {
    for kind in [ErrorKind::Connection, ErrorKind::Server] {
        let (results, attempts, seconds) = sent_to(kind, u64::MAX).await;
        assert!(results.iter().all(Result::is_err));
        let message = results[63].as_ref().unwrap_err().to_string();
        assert!(message.contains("the last 16 attempts failed like this"), "{message}");
        assert!(attempts <= 64 + 8 && seconds < 90, "{attempts} attempts, {seconds} s");

        let (results, attempts, seconds) = sent_to(kind, 10).await;
        assert!(results.iter().all(Result::is_ok), "{:?}", results[0]);
        assert!(attempts <= 64 + 70 && seconds < 40, "{attempts} attempts, {seconds} s");
    }
    // A request that the server fails for itself does not stop the others.
    let (results, attempts, _) = sent_to(ErrorKind::BadResponse, u64::MAX).await;
    assert!(results.iter().all(Result::is_err));
    assert_eq!(attempts, 128);
}

#[tokio::test(start_paused = true)]
async fn replies_to_requests_from_before_an_outage_do_not_end_it() {
    let (pace, before) = (Pace::default(), Instant::now());
    let down = EngineError::new(ErrorKind::Server, "down");
    for _ in 0..5 * MIN_FAILURES {
        tokio::time::advance(Duration::from_millis(10)).await;
        pace.fail(before, &down);
        pace.pass(before);
        if pace.state.lock().is_down() {
            break;
        }
    }
    assert_eq!(pace.state.lock().failures, MIN_FAILURES);
    pace.pass(Instant::now());
    assert!(!pace.state.lock().is_down());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_everything_is_given_up() {
    let (start, calls) = (Instant::now(), CallPolicy::default());
    let run = || calls.run(Seed::new(0), 0, |_| async { Err::<(), _>(refused()) });
    let errors = join_all((0..5).map(|_| run())).await;
    for error in errors.into_iter().map(Result::unwrap_err) {
        let message = error.to_string();
        assert!(message.contains("Too many requests; no request passed within 600s"), "{message}");
        assert!(message.contains("--requests-per-minute") && !error.is_retryable(), "{message}");
    }
    let minutes = start.elapsed().as_secs() / 60;
    assert!((10..=16).contains(&minutes), "{minutes} minutes");
}

/// Kind: Errors | 429 with a wait of up to 120 s | all requests pause for it; no retries
#[tokio::test(start_paused = true)]
async fn a_wait_that_a_server_names_pauses_all_requests() {
    let (start, sent) = (Instant::now(), AtomicU32::new(0));
    let calls = CallPolicy::default().retry(RetryPolicy::default().max_retries(0));
    let call = |_| async {
        sent.fetch_add(1, Ordering::Relaxed);
        match start.elapsed() < Duration::from_secs(30) {
            true => Err(refused().with_retry_after(Duration::from_secs(31))),
            false => Ok(()),
        }
    };
    let run = || calls.run(Seed::new(0), 0, call);
    assert!(join_all((0..4).map(|_| run())).await.iter().all(Result::is_ok));
    assert_eq!(sent.load(Ordering::Relaxed), 5, "one refusal, then four that pass");
    assert_eq!(start.elapsed().as_secs(), 31);

    let long = |_| async { Err::<(), _>(refused().with_retry_after(Duration::from_secs(121))) };
    let begun = Instant::now();
    let error = calls.run(Seed::new(0), 0, long).await.unwrap_err();
    assert_eq!((error.is_retryable(), begun.elapsed()), (true, Duration::ZERO));
}
