use std::error::Error as _;
use std::sync::Arc;

use textgrad_core::testing::{Reply, ScriptedEngine};
use textgrad_core::{ErrorKind, Message, Purpose, Usage};
use tokio::time::Instant;

use super::*;
use crate::layer::Layered;

fn server() -> EngineError {
    EngineError::new(ErrorKind::Server, "down")
}

fn busy(wish: f64) -> EngineError {
    EngineError::new(ErrorKind::RateLimited, "busy")
        .with_status(429)
        .with_retry_after(Duration::from_secs_f64(wish))
}

#[test]
fn waits_double_up_to_the_longest_less_a_quarter_at_most() {
    let policy = RetryPolicy::default().max_retries(200);
    let mut shares = Vec::new();
    for retry in 1..=200 {
        let full = (0.5 * 2_f64.powi(i32::try_from(retry).unwrap() - 1)).min(8.0);
        let wait = policy.delay(&server(), retry).unwrap().as_secs_f64();
        assert!(wait <= full && wait > full * 0.75, "{retry}: {wait}");
        shares.push(wait / full);
    }
    shares.sort_by(f64::total_cmp);
    assert!(shares[0] < 0.76 && shares[199] > 0.99, "the jitter uses its whole range");
}

#[test]
fn the_jitter_repeats_with_its_seed() {
    let policy = RetryPolicy::default().seed(Seed::new(1));
    assert_eq!(policy.delay(&server(), 1), policy.delay(&server(), 1));
    assert_ne!(policy.delay(&server(), 1), policy.seed(Seed::new(2)).delay(&server(), 1));
}

#[test]
fn no_setting_makes_a_wait_overflow() {
    let policy = RetryPolicy::default()
        .max_retries(u32::MAX)
        .initial_backoff(Duration::MAX)
        .max_backoff(Duration::MAX);
    assert!(policy.delay(&server(), u32::MAX).is_some_and(|wait| wait > Duration::MAX / 2));
}

#[test]
fn the_servers_retry_time_is_followed_exactly_up_to_the_longest() {
    let policy = RetryPolicy::default();
    assert_eq!(policy.delay(&busy(0.25), 1), Some(Duration::from_millis(250)));
    assert_eq!(policy.delay(&busy(120.0), 2), Some(Duration::from_secs(120)));
    assert_eq!(policy.delay(&busy(120.001), 1), None);
    assert!(policy.delay(&busy(0.0), 1).is_some_and(|wait| !wait.is_zero()));
}

#[test]
fn nothing_is_retried_that_is_final_or_once_too_often() {
    let policy = RetryPolicy::default();
    assert!(policy.delay(&server(), 2).is_some());
    assert_eq!(policy.delay(&server(), 3), None);
    assert_eq!(policy.clone().max_retries(0).delay(&server(), 1), None);
    assert_eq!(policy.delay(&server().with_retryable(false), 1), None);
    let told = EngineError::new(ErrorKind::InvalidRequest, "x").with_retryable(true);
    assert!(policy.delay(&told, 1).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_last_error_tells_the_attempts_and_keeps_the_rest() {
    let start = Instant::now();
    let mut attempts = Vec::new();
    let error = RetryPolicy::default()
        .run(|attempt| {
            attempts.push(attempt);
            async { Err::<(), _>(busy(3.0).with_source(std::io::Error::other("cause"))) }
        })
        .await
        .unwrap_err();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(start.elapsed(), Duration::from_secs(6));
    assert_eq!(error.to_string(), "busy; gave up after 3 attempts (HTTP 429)");
    assert_eq!(
        (error.kind(), error.retry_after()),
        (ErrorKind::RateLimited, Some(Duration::from_secs(3)))
    );
    assert_eq!(error.source().unwrap().to_string(), "cause");
    assert!(error.source().unwrap().source().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wish_too_long_fails_at_once_and_says_so() {
    let start = Instant::now();
    let error =
        RetryPolicy::default().run(|_| async { Err::<(), _>(busy(300.0)) }).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(error.message(), "busy; the server asks to wait 300s, longer than 120s");
}

#[tokio::test(start_paused = true)]
async fn a_final_error_after_a_retry_ends_it() {
    let error = RetryPolicy::default()
        .run(|attempt| async move {
            Err::<(), _>(if attempt == 1 {
                server()
            } else {
                EngineError::new(ErrorKind::Auth, "key")
            })
        })
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "key; gave up after 2 attempts");
    assert!(!error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_and_begins_nothing() {
    let stop = crate::CancellationToken::new();
    let engine = Arc::new(ScriptedEngine::new([failure(ErrorKind::Server), "late".into()]));
    let retry =
        Layered::new(Arc::clone(&engine), RetryPolicy::default().cancellation(stop.clone()));
    let begun = Instant::now();
    let request = Request::new(Purpose::Sample, [Message::user("q")]);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        stop.cancel();
    };
    let (answer, ()) = tokio::join!(retry.complete(&request), stopping);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(begun.elapsed(), Duration::from_millis(10));
    assert_eq!(engine.requests().len(), 1);
}

fn failure(kind: ErrorKind) -> Reply {
    Reply::error(EngineError::new(kind, "no"))
}

#[tokio::test(start_paused = true)]
async fn the_same_request_is_asked_again_with_waits_of_its_own() {
    let request = Request::new(Purpose::Sample, [Message::user("hi")]);
    let policy = RetryPolicy::default();
    let engine = Layered::new(
        ScriptedEngine::new([
            failure(ErrorKind::Server),
            failure(ErrorKind::Timeout),
            "yes".into(),
        ]),
        policy.clone(),
    );
    let start = Instant::now();
    assert_eq!(engine.complete(&request).await.unwrap().choices[0].text, "yes");
    assert_eq!(engine.get_ref().requests(), [request.clone(), request.clone(), request.clone()]);

    let seeded = policy.seed(request_key("scripted", &request).seed());
    let error = EngineError::new(ErrorKind::Server, "no");
    let waits: Duration = (1..=2).filter_map(|retry| seeded.delay(&error, retry)).sum();
    // The timer of tokio counts whole milliseconds, rounded up.
    let over = start.elapsed().checked_sub(waits).unwrap();
    assert!(over <= Duration::from_millis(2), "{over:?} over {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_final_error_is_final_at_once() {
    for kind in [ErrorKind::Auth, ErrorKind::Quota, ErrorKind::InvalidRequest, ErrorKind::NotFound]
    {
        let engine = Layered::new(
            ScriptedEngine::new([failure(kind), "yes".into()]),
            RetryPolicy::default(),
        );
        let start = Instant::now();
        let error = engine.complete(&Request::new(Purpose::Sample, [])).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, "no"));
        assert_eq!(engine.get_ref().requests().len(), 1);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_error_has_the_usage_of_all_attempts_and_a_response_its_own() {
    let usage =
        Usage { prompt_tokens: 7, completion_tokens: 1, cached_tokens: 0, ..Usage::default() };
    let failure =
        || Reply::error(EngineError::new(ErrorKind::BadResponse, "withheld").with_usage(usage));
    let request = Request::new(Purpose::Sample, []);
    let retry = |replies: Vec<Reply>| {
        Layered::new(ScriptedEngine::new(replies), RetryPolicy::default().max_retries(1))
    };
    let error = retry(vec![failure(), failure()]).complete(&request).await.unwrap_err();
    assert_eq!((error.usage().prompt_tokens, error.usage().completion_tokens), (14, 2));

    let answer =
        Response::new(vec![textgrad_core::Choice::new("x", textgrad_core::FinishReason::Stop)]);
    let answers = textgrad_core::engine_fn("e", {
        let left = std::sync::Mutex::new(vec![
            Ok(answer.with_usage(usage)),
            Err(EngineError::new(ErrorKind::BadResponse, "withheld").with_usage(usage)),
        ]);
        move |_| std::future::ready(left.lock().unwrap().pop().unwrap())
    });
    let retried = Layered::new(answers, RetryPolicy::default()).complete(&request).await;
    assert_eq!(retried.unwrap().usage, usage);
}

fn loading() -> EngineError {
    EngineError::new(ErrorKind::Loading, "loading model").with_status(503)
}

/// Kind: Errors | a server that loads its model | waited for, up to 10 minutes, with one warning; no retries
#[tokio::test(start_paused = true)]
async fn a_server_that_loads_is_waited_for_and_counts_no_retry() {
    let start = Instant::now();
    let policy = RetryPolicy::default().max_retries(1);
    let answer = policy.run(|attempt| async move {
        match attempt {
            // A failure of another kind in between has its retry.
            20 => Err(server()),
            30.. => Ok(attempt),
            _ => Err(loading()),
        }
    });
    assert_eq!(answer.await.unwrap(), 30);
    assert!(start.elapsed() > Duration::from_secs(240), "{:?}", start.elapsed());

    let policy = policy.max_retries(0);
    let named = policy.run(|attempt| async move {
        if attempt == 1 { Err(loading().with_retry_after(Duration::from_secs(30))) } else { Ok(()) }
    });
    let start = Instant::now();
    named.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_loads_forever_is_given_up() {
    for named in [None, Some(Duration::from_secs(7)), Some(Duration::from_secs(5000))] {
        let start = Instant::now();
        let policy = RetryPolicy::default();
        let error = policy.run(|_| async move {
            Err::<(), _>(named.map_or_else(loading, |delay| loading().with_retry_after(delay)))
        });
        let error = error.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loading);
        assert!(error.message().contains("loading model; gave up after"), "{error}");
        let waited = start.elapsed();
        assert!(
            waited <= Duration::from_secs(601) && waited > Duration::from_secs(580),
            "{waited:?}"
        );
    }
}

/// Kind: Errors | a whole reply that cannot be read | retried once
#[tokio::test(start_paused = true)]
async fn an_invalid_reply_is_paid_for_once_more_at_most() {
    let count = |kinds: &'static [ErrorKind]| async move {
        let policy = RetryPolicy::default().max_retries(5);
        let error = policy.run(|attempt| async move {
            let kind = kinds.get(attempt as usize - 1).copied().unwrap_or(ErrorKind::BadResponse);
            Err::<(), _>(EngineError::new(kind, "no"))
        });
        error.await.unwrap_err().to_string()
    };
    assert_eq!(count(&[]).await, "no; gave up after 2 attempts");
    let broken = &[ErrorKind::Connection, ErrorKind::BadResponse, ErrorKind::Connection];
    assert_eq!(count(broken).await, "no; gave up after 4 attempts");
}

#[cfg(feature = "logging")]
#[tokio::test(start_paused = true)]
async fn the_first_long_wait_that_a_server_names_is_warned_of() {
    use crate::util::message::tests::Log;
    let (log, guard) = Log::start();
    let policy = RetryPolicy::default();
    for wish in [0.2, 7.0, 9.0] {
        let answer = |attempt| async move { if attempt == 1 { Err(busy(wish)) } else { Ok(()) } };
        policy.run(answer).await.unwrap();
    }
    // Its own backoff is no wish of the server.
    RetryPolicy::default()
        .run(|attempt| async move { if attempt < 3 { Err(server()) } else { Ok(()) } })
        .await
        .unwrap();
    drop(guard);
    assert_eq!(log.text(), "warning: busy; waiting for 7s, as the server asks\n");
}
