//! Failures that are final: said at once, with what was found before.

use super::{assert_says, chats, undisturbed, with_faults};

/// Befalls one step and all that would follow: the search ends at that very request.
async fn ends_at_once(fault: &str, steps: &[u64], kind: &str, words: &[&str]) {
    let expected = undisturbed().await;
    for step in steps {
        let later = format!("{fault}@nth:{}", step + 1);
        let (outcome, policy) = with_faults(&[&format!("{fault}@nth:{step}"), &later]).await;
        let failure = outcome.unwrap_err();
        assert_eq!(chats(&policy), *step, "{fault} at {step}");
        assert_eq!(policy.stats().fault(fault), 1);
        assert_eq!(failure.error.kind(), kind);
        assert!(!failure.error.is_retryable());
        assert_says(&failure, words);
        let kept = match step {
            1 => 0,
            2..=4 => 5,
            _ => 10,
        };
        assert_eq!(failure.trajectory.candidates, expected.candidates[..kept], "{fault} at {step}");
        assert_eq!(failure.trajectory.usage.requests, step - 1);
    }
}

#[tokio::test]
async fn an_account_without_credit() {
    let words = &["exceeded your current quota", "insufficient_quota", "check the account's plan"];
    ends_at_once("429-quota", &[1, 4, 5], "quota", words).await;
}

#[tokio::test]
async fn a_key_that_is_refused() {
    ends_at_once(
        "401",
        &[1, 2, 3, 4, 5, 6, 7],
        "auth",
        &["Unauthorized", "check the key", "HTTP 401"],
    )
    .await;
}

#[tokio::test]
async fn a_request_that_is_refused() {
    let words = &["The request is not valid", "HTTP 400"];
    ends_at_once("400", &[2, 4, 7], "invalid_request", words).await;
}

#[tokio::test]
async fn a_first_request_for_several_answers_that_is_refused_is_asked_once_for_one() {
    // It might be the number of answers that was refused: one request more tells.
    let (outcome, policy) = with_faults(&["400@always"]).await;
    let failure = outcome.unwrap_err();
    assert_eq!(chats(&policy), 2);
    let bodies = policy.requests();
    assert_eq!((bodies[0]["n"].as_u64(), bodies[1]["n"].as_u64()), (Some(5), None));
    assert_says(&failure, &["The request is not valid", "HTTP 400"]);

    // It was: all five come one by one, and they are the same five.
    let (outcome, policy) = with_faults(&["400@nth:1"]).await;
    let expected = undisturbed().await;
    assert_eq!(outcome.unwrap().trajectory().candidates, expected.candidates);
    assert_eq!(chats(&policy), 1 + 5 + 2 * (1 + 1 + 5));
}

#[tokio::test]
async fn a_final_failure_after_a_passing_one_is_final() {
    let (outcome, policy) = with_faults(&["500@nth:2", "401@nth:3"]).await;
    let failure = outcome.unwrap_err();
    assert_eq!(chats(&policy), 3);
    assert_says(&failure, &["Unauthorized", "gave up after 2 attempts"]);
}

#[tokio::test]
async fn a_wrong_key_is_never_shown() {
    use super::{QUERY, over, server};
    use textgrad_ops::sim::Sim;
    use textgrad_tests::fake_server::FakeServer;

    let policy = FakeServer::builder().engine(Sim::default()).api_key("another").start().await;
    let (policy, rewards) = (policy.unwrap(), server(&[]).await);
    let failure = over(&policy, &rewards).build().unwrap().align(QUERY).await.unwrap_err();
    assert_eq!(chats(&policy), 1);
    assert_says(&failure, &["Unauthorized", "check the key"]);
}
