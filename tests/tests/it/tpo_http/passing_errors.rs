//! Failures that pass: the call is made again, and the search comes to what it would have come to.

use std::time::{Duration, Instant};

use textgrad_core::ErrorKind;
use textgrad_ops::engine::HttpOptions;
use textgrad_tests::fake_server::Route;
use tpo::{AlignError, Tpo};

use super::{
    QUERY, assert_says, chats, client, engine, over, reward, server, undisturbed, with_faults,
};

/// The requests of a search with D = 2.
const STEPS: u64 = 7;

/// Befalls each kind of step of a search: one request more, and the same result.
async fn passes_at_every_step(fault: &str) {
    let expected = undisturbed().await;
    for step in [1, 2, 3, 4] {
        let (outcome, policy) = with_faults(&[&format!("{fault}@nth:{step}")]).await;
        let aligned = outcome.unwrap_or_else(|failure| panic!("{fault} at {step}: {failure:?}"));
        assert_eq!(aligned.trajectory(), &expected, "{fault} at {step}");
        let stats = policy.stats().route(Route::Chat);
        assert_eq!((stats.requests, stats.duplicates, stats.paid_twice), (STEPS + 1, 1, 0));
    }
}

/// Befalls the fourth step, the first rewrite, each time that it is tried: the search ends there with what it
/// had, after as many attempts as the policy allows.
async fn ends_with_what_there_was(fault: &str, attempts: usize) -> AlignError {
    let expected = undisturbed().await;
    let faults: Vec<String> = (4..4 + attempts).map(|step| format!("{fault}@nth:{step}")).collect();
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let (outcome, policy) = with_faults(&faults).await;
    let failure = outcome.unwrap_err();
    assert_eq!(
        chats(&policy),
        3 + attempts as u64,
        "three answers, and the attempts at the fourth"
    );
    let given_up = format!("gave up after {attempts} attempts");
    assert_says(&failure, &[&given_up, "/v1/chat/completions"]);
    let found = &failure.trajectory;
    assert_eq!(found.candidates, expected.candidates[..5]);
    assert_eq!(found.iterations.len(), 1);
    assert_eq!(found.iterations[0].losses, expected.iterations[0].losses);
    assert_eq!(found.iterations[0].gradient, expected.iterations[0].gradient);
    assert_eq!((found.usage.requests, found.usage.scored), (3, 5));
    failure
}

async fn passes(fault: &str, kind: ErrorKind, words: &[&str]) {
    passes_at_every_step(fault).await;
    // A reply that is whole was paid for.
    let attempts = if kind == ErrorKind::BadResponse { 2 } else { 3 };
    let failure = ends_with_what_there_was(fault, attempts).await;
    assert_eq!(failure.error.engine().unwrap().kind(), kind, "{fault}");
    assert!(failure.error.is_retryable());
    assert_eq!(failure.error.kind(), kind.as_str());
    assert_says(&failure, words);
}

#[tokio::test]
async fn a_rate_limit_in_milliseconds() {
    passes("429-ms=3", ErrorKind::RateLimited, &["Rate limit reached", "HTTP 429"]).await;
}

#[tokio::test]
async fn a_rate_limit_in_seconds() {
    passes("429-seconds=0.003", ErrorKind::RateLimited, &["Rate limit reached", "HTTP 429"]).await;
}

#[tokio::test]
async fn a_rate_limit_without_a_time() {
    passes("429-plain", ErrorKind::RateLimited, &["Rate limit reached", "HTTP 429"]).await;
}

#[tokio::test]
async fn a_rate_limit_until_a_date() {
    // Dates have whole seconds, so this one waits for up to one.
    let (outcome, policy) = with_faults(&["429-date=0@nth:4"]).await;
    assert_eq!(outcome.unwrap().trajectory(), &undisturbed().await);
    assert_eq!(chats(&policy), STEPS + 1);
}

#[tokio::test]
async fn the_retry_time_of_a_server_is_waited_for() {
    let begun = Instant::now();
    let (outcome, _policy) = with_faults(&["429-ms=120@nth:2", "429-seconds=0.13@nth:4"]).await;
    outcome.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_wish_that_is_too_long_is_final() {
    let (outcome, policy) = with_faults(&["429-seconds=300@nth:2"]).await;
    let failure = outcome.unwrap_err();
    assert_says(&failure, &["asks to wait 300s, longer than 120s", "HTTP 429"]);
    assert_eq!((chats(&policy), failure.trajectory.candidates.len()), (2, 5));
}

#[tokio::test]
async fn a_server_that_failed() {
    passes("500", ErrorKind::Server, &["the server says: Internal server error", "HTTP 500"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_ready() {
    passes("503", ErrorKind::Server, &["The engine is not ready", "HTTP 503"]).await;
}

#[tokio::test]
async fn a_page_instead_of_an_answer() {
    passes("html", ErrorKind::BadResponse, &["an HTML page", "check the base URL"]).await;
}

#[tokio::test]
async fn a_page_of_a_proxy() {
    passes("html-502", ErrorKind::Server, &["502 Bad Gateway", "HTTP 502"]).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_off() {
    let words = &["the connection broke before the reply was whole"];
    passes("cut-off-body", ErrorKind::Connection, words).await;
}

#[tokio::test]
async fn an_answer_that_is_not_json() {
    passes("not-json", ErrorKind::BadResponse, &["expected JSON, got `all is well`"]).await;
}

#[tokio::test]
async fn an_answer_without_choices() {
    passes("empty-choices", ErrorKind::BadResponse, &["the reply has no choices"]).await;
}

#[tokio::test]
async fn choices_without_a_text() {
    passes_at_every_step("null-content").await;
    // A first answer without a text is an error, after a retry.
    let (outcome, policy) = with_faults(&["null-content@nth:1", "null-content@nth:2"]).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.error.engine().unwrap().kind(), ErrorKind::NoAnswer);
    assert_says(&failure, &["none of the 5 choices has a text", "stop, stop", "2 attempts"]);
    assert_eq!(chats(&policy), 2);
    // A rewrite is asked for again.
    let (outcome, policy) = with_faults(&["null-content@nth:4", "null-content@nth:5"]).await;
    let aligned = outcome.unwrap();
    assert_eq!((chats(&policy), aligned.trajectory().candidates.len()), (STEPS + 2, 15));
}

#[tokio::test]
async fn a_connection_that_is_reset() {
    passes("reset", ErrorKind::Connection, &["the connection broke"]).await;
}

#[tokio::test]
async fn an_answer_that_only_takes_long_is_waited_for() {
    let (outcome, policy) = with_faults(&["stall=40@nth:1", "slow-body=40@nth:4"]).await;
    assert_eq!(outcome.unwrap().trajectory(), &undisturbed().await);
    assert_eq!(chats(&policy), STEPS);
}

/// A search whose calls may take a tenth of a second, while the server takes far longer for those of `faults`.
async fn impatient(faults: &[&str]) -> (Result<tpo::Alignment, AlignError>, u64) {
    let (policy, rewards) = (server(faults).await, server(&[]).await);
    let client = client(&policy)
        .http(HttpOptions::default().no_proxy().request_timeout(Duration::from_millis(100)));
    let tpo = Tpo::builder(engine(client), reward(&rewards)).build().unwrap();
    let outcome = tpo.align(QUERY).await;
    (outcome, chats(&policy))
}

#[tokio::test]
async fn an_answer_that_comes_too_late() {
    let (outcome, asked) = impatient(&["stall=60000@nth:1", "slow-body=60000@nth:5"]).await;
    assert_eq!(outcome.unwrap().trajectory(), &undisturbed().await);
    assert_eq!(asked, STEPS + 2);

    let stalls = ["stall=60000@nth:4", "stall=60000@nth:5", "stall=60000@nth:6"];
    let (outcome, asked) = impatient(&stalls).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.error.kind(), "timeout");
    assert_says(&failure, &["no whole reply within 100ms", "gave up after 3 attempts"]);
    assert_eq!((asked, failure.trajectory.candidates.len()), (6, 5));
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let (policy, rewards) = (server(&[]).await, server(&[]).await);
    let tpo = over(&policy, &rewards).build().unwrap();
    policy.stop().await;
    let failure = tpo.align(QUERY).await.unwrap_err();
    assert_eq!(failure.error.kind(), "connection");
    assert_says(&failure, &["could not connect", "check that the server runs"]);
    assert!(failure.trajectory.candidates.is_empty());
}
