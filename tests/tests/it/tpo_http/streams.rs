//! The same over streams.

use textgrad_tests::fake_server::{FakeServer, Route};
use tpo::{AlignError, Alignment, Tpo};

use super::{QUERY, assert_says, client, engine, reward, server, undisturbed};

async fn streamed(faults: &[&str]) -> (Result<Alignment, AlignError>, FakeServer) {
    let (policy, rewards) = (server(faults).await, server(&[]).await);
    let engine = engine(client(&policy).stream(true));
    let outcome = Tpo::builder(engine, reward(&rewards)).build().unwrap().align(QUERY).await;
    (outcome, policy)
}

#[tokio::test]
async fn a_streamed_search_comes_to_the_same() {
    let (outcome, policy) = streamed(&[]).await;
    assert_eq!(outcome.unwrap().trajectory(), &undisturbed().await);
    let bodies = policy.requests_to(Route::Chat);
    assert_eq!(bodies.len(), 7);
    assert!(bodies.iter().all(|body| body["stream"] == true));
}

#[tokio::test]
async fn a_broken_stream_is_asked_for_again() {
    let expected = undisturbed().await;
    let slow = "slow-body=20";
    for fault in ["stream-error", "cut-off-body", "not-json", "null-content", "reset"] {
        for step in [2, 4] {
            let (outcome, policy) = streamed(&[&format!("{fault}@nth:{step}"), slow]).await;
            let aligned = outcome.unwrap_or_else(|error| panic!("{fault} at {step}: {error:?}"));
            assert_eq!(aligned.trajectory(), &expected, "{fault} at {step}");
            let stats = policy.stats().route(Route::Chat);
            assert_eq!((stats.requests, stats.paid_twice), (8, 0), "{fault} at {step}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_keeps_breaking_ends_the_search_with_what_there_was() {
    for (fault, kind, words) in [
        ("stream-error", "server", "The engine failed in the middle of the answer"),
        ("cut-off-body", "connection", "the stream ended within an answer"),
        ("not-json", "bad_response", "all is well"),
    ] {
        let faults: Vec<String> = (4..=6).map(|step| format!("{fault}@nth:{step}")).collect();
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        let (outcome, policy) = streamed(&faults).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.error.kind(), kind, "{fault}");
        let attempts = if kind == "bad_response" { 2 } else { 3 };
        assert_says(&failure, &[words, &format!("gave up after {attempts} attempts")]);
        assert_eq!(policy.stats().route(Route::Chat).requests, 3 + attempts);
        assert_eq!(failure.trajectory.candidates.len(), 5);
    }
}
