//! Errors of reward servers.

use textgrad_tests::fake_server::FakeServer;
use tpo::{AlignError, Alignment};

use super::{QUERY, assert_says, chats, classified, over, server, undisturbed};

/// How many different texts are among the first five rewrites: equal ones are scored once.
const REWRITES: u64 = 4;

async fn scored(faults: &[&str]) -> (Result<Alignment, AlignError>, FakeServer, FakeServer) {
    let (policy, rewards) = (server(&[]).await, server(faults).await);
    let outcome = over(&policy, &rewards).build().unwrap().align(QUERY).await;
    (outcome, policy, rewards)
}

/// Befalls the first score of all, and then the first of the first rewrites.
async fn is_final(fault: &str, words: &[&str]) {
    let expected = undisturbed().await;
    let (outcome, policy, rewards) = scored(&[&format!("{fault}@always")]).await;
    let failure = outcome.unwrap_err();
    // Each answer is asked about once; the failure of one does not lose the others.
    assert_eq!((classified(&rewards), chats(&policy)), (5, 1), "{fault}");
    assert!(failure.trajectory.candidates.is_empty());
    let answer: String = expected.candidates[0].text.chars().take(40).collect();
    let all =
        [words, &["reward model \"vllm:sim-reward\" could not score the answer", &answer]].concat();
    assert_says(&failure, &all);
    assert!(!failure.error.is_retryable());

    let (outcome, policy, rewards) = scored(&[&format!("{fault}@nth:6")]).await;
    let failure = outcome.unwrap_err();
    assert_eq!((classified(&rewards), chats(&policy)), (5 + REWRITES, 4), "{fault}");
    assert_eq!(failure.trajectory.candidates, expected.candidates[..5]);
    assert_eq!(failure.trajectory.usage.requests, 4, "the rewrites were paid for");
    assert_eq!(failure.trajectory.iterations[0].updates, 5);
    assert_says(&failure, words);
}

#[tokio::test]
async fn a_score_that_is_null() {
    is_final("null-score", &["expected one finite score from /classify, got null"]).await;
}

#[tokio::test]
async fn a_score_that_is_a_string() {
    is_final("string-score", &["expected one finite score from /classify, got \""]).await;
}

#[tokio::test]
async fn a_model_of_two_classes() {
    is_final("two-labels", &["got 2 classes: this is not a reward model with one output"]).await;
}

/// Befalls a score once, which is asked for again; and as often as it is tried.
async fn passes(fault: &str, kind: &str, words: &[&str]) {
    let expected = undisturbed().await;
    for place in [1, 3, 7] {
        let (outcome, _policy, rewards) = scored(&[&format!("{fault}@nth:{place},classify")]).await;
        assert_eq!(outcome.unwrap().trajectory(), &expected, "{fault} at {place}");
        assert_eq!(classified(&rewards), expected.usage.scored + 1);
    }
    let faults: Vec<String> = (6..=20).map(|n| format!("{fault}@nth:{n},classify")).collect();
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let (outcome, policy, rewards) = scored(&faults).await;
    let failure = outcome.unwrap_err();
    let attempts = if kind == "bad_response" { 2 } else { 3 };
    assert_eq!((classified(&rewards), chats(&policy)), (5 + REWRITES * attempts, 4));
    assert_eq!(failure.trajectory.candidates, expected.candidates[..5]);
    assert_eq!(failure.error.kind(), kind);
    let given_up = format!("gave up after {attempts} attempts");
    assert_says(&failure, &[words, &[&given_up, "/classify"]].concat());
}

#[tokio::test]
async fn a_reward_server_that_failed() {
    passes("500", "server", &["Internal server error", "HTTP 500"]).await;
}

#[tokio::test]
async fn a_score_that_breaks_the_json() {
    is_final("nan-score", &["expected one finite score from /classify, got null"]).await;
}

#[tokio::test]
async fn a_score_cut_off_on_its_way() {
    passes("cut-off-body", "connection", &["the connection broke"]).await;
}

#[tokio::test]
async fn a_reward_server_that_refuses() {
    for (fault, kind, words) in [("401", "auth", "check the key"), ("400", "invalid_request", "")] {
        let (outcome, _policy, rewards) = scored(&[&format!("{fault}@always,classify")]).await;
        let failure = outcome.unwrap_err();
        assert_eq!((classified(&rewards), failure.error.kind()), (5, kind));
        assert_says(&failure, &[words, "/classify"]);
    }
}
