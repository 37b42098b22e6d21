//! Classes of errors, by status and body: which requests are repeated, after which wait, and which are not.

use std::time::{Duration, Instant};

use textgrad_tests::fake_server::{FakeServer, Fault, FaultRule, When};
use tpo::{AlignError, Alignment};

use super::{QUERY, assert_says, chats, over, server, undisturbed};

/// A search whose policy replies so to its third request, the first one for a gradient.
async fn with_reply(status: u16, body: &str) -> (Result<Alignment, AlignError>, FakeServer) {
    let rule = FaultRule::new(Fault::Reply(status, body.to_owned())).when(When::Nth(3));
    let builder = FakeServer::builder().engine(textgrad_ops::sim::Sim::default()).fault(rule);
    let (policy, rewards) = (builder.start().await.unwrap(), server(&[]).await);
    let outcome = over(&policy, &rewards).build().unwrap().align(QUERY).await;
    (outcome, policy)
}

/// The request is repeated once, and the search ends as if nothing had happened.
async fn is_repeated(status: u16, body: &str) {
    let (outcome, policy) = with_reply(status, body).await;
    let aligned = outcome.unwrap_or_else(|failure| panic!("{status} {body}: {failure:?}"));
    assert_eq!(aligned.trajectory(), &undisturbed().await, "{status} {body}");
    assert_eq!(chats(&policy), 8, "{status} {body}");
}

/// Kind: Errors | 408, 409, 421, 423, 424, 425, 429, 498, 499, 5xx: JSON, text or nothing in the body | retried
#[tokio::test]
async fn statuses_that_pass_are_retried() {
    let statuses = [408, 409, 421, 423, 424, 425, 429, 498, 499, 500, 502, 503, 504, 520, 529, 599];
    let bodies = [r#"{"error":{"message":"Busy"}}"#, r#"{"detail":"Busy"}"#, "upstream gone", ""];
    for (status, body) in statuses.into_iter().zip(bodies.into_iter().cycle()) {
        is_repeated(status, body).await;
    }
}

/// Kind: Errors | an error in a 200: a code, a flag, a detail | an error of its class; retried where it passes
#[tokio::test]
async fn errors_in_a_200_are_retried_if_they_pass() {
    for body in [
        r#"{"error":{"code":503,"message":"No instance available"}}"#,
        r#"{"success":false,"msg":"Busy"}"#,
        r#"{"detail":"Worker restarted"}"#,
        r#"{"error":{"code":429},"choices":null}"#,
    ] {
        is_repeated(200, body).await;
    }
}

/// Kind: Errors | a wait in a body or in a message: 120 ms to 150 ms, six spellings | waited for
#[tokio::test]
async fn waits_in_bodies_are_waited_for() {
    for (status, body) in [
        (429, r#"{"error":{"message":"Slow down","details":[{"retryDelay":"0.13s"}]}}"#),
        (429, r#"{"detail":{"retry_after":0.13}}"#),
        (503, r#"{"retry_after_ms":130}"#),
        (429, r#"{"error":{"metadata":{"headers":{"Retry-After":"0.13"}}}}"#),
        (429, r#"{"error":{"message":"Limit 9, Used 9. Please try again in 130ms."}}"#),
        (503, "please retry in 0.15s"),
    ] {
        let begun = Instant::now();
        is_repeated(status, body).await;
        assert!(begun.elapsed() >= Duration::from_millis(120), "{body}: {:?}", begun.elapsed());
    }
}

/// Kind: Errors | a lack of credit, a daily limit, a content filter, a key: at any status, also in a 200 | final, with
/// the words of the server
#[tokio::test]
async fn errors_that_do_not_pass_end_the_search_at_once() {
    for (status, body, kind, words) in [
        (402, r#"{"error":{"message":"Top up your wallet"}}"#, "quota", "Top up your wallet"),
        (
            429,
            r#"{"error":{"message":"Limit of requests per day reached"}}"#,
            "quota",
            "plan and credit",
        ),
        (200, r#"{"success":false,"msg":"insufficient balance"}"#, "quota", "insufficient balance"),
        (
            400,
            r#"{"error":{"message":"Prompt was flagged","code":"content_filter"}}"#,
            "refused",
            "Prompt was flagged",
        ),
        (451, "not in this country", "refused", "not in this country"),
        (403, r#"{"detail":"This key may not use the model"}"#, "auth", "check the key"),
        (404, "no such route", "not_found", "base URL"),
    ] {
        let (outcome, policy) = with_reply(status, body).await;
        let failure = outcome.unwrap_err();
        assert_eq!((failure.error.kind(), chats(&policy)), (kind, 3), "{status} {body}");
        assert_says(&failure, &[words]);
        assert_eq!(failure.trajectory.candidates.len(), 5, "{status} {body}");
    }
}
