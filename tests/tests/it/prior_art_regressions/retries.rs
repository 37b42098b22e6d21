//! Retries: causes and numbers.

use textgrad_core::{Engine, ErrorKind, Sampling};

use super::{chats, hello, patient, server};

#[tokio::test]
async fn a_request_that_is_refused_is_not_asked_again() {
    for (fault, kind) in [("400", ErrorKind::InvalidRequest), ("401", ErrorKind::Auth)] {
        let server = server(&[&format!("{fault}@always")]).await;
        let error = patient(&server).complete(&hello()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, false), "{error}");
        assert!(error.to_string().contains(&format!("HTTP {fault}")), "{error}");
        assert_eq!(chats(&server), 1, "{fault}");
    }
}

#[tokio::test]
async fn what_passes_is_asked_three_times_and_the_error_says_what_it_was() {
    for (fault, words) in [
        ("429-plain", "HTTP 429"),
        ("500", "HTTP 500"),
        ("html-502", "HTTP 502"),
        ("reset", "the connection broke"),
    ] {
        let server = server(&[&format!("{fault}@always")]).await;
        let error = patient(&server).complete(&hello()).await.unwrap_err();
        let told = textgrad_core::describe(&error);
        assert!(told.contains(words) && told.contains("gave up after 3 attempts"), "{told}");
        assert_eq!(chats(&server), 3, "{fault}");
    }
}

#[tokio::test]
async fn choices_that_came_are_kept_and_only_the_others_are_asked_for() {
    let server = server(&["fewer-choices=2@nth:1"]).await;
    let request = hello().with_sampling(Sampling::default().with_n(5).with_seed(1));
    let response = patient(&server).complete(&request).await.unwrap();
    assert_eq!(response.choices.len(), 5);
    let sent = server.requests();
    assert_eq!(sent[0]["n"], 5);
    assert!(sent[1..].iter().all(|body| body.get("n").is_none_or(|n| n == 1)));
    assert_eq!(sent.len(), 1 + 3, "two came, and three are missing");
}

#[tokio::test]
async fn a_date_to_come_back_at_is_understood() {
    let server = server(&["429-date=500@always"]).await;
    // Longer than anybody waits, so it is said and not waited for.
    let error = patient(&server).complete(&hello()).await.unwrap_err();
    let wish = error.retry_after().unwrap().as_secs();
    assert!((490..=501).contains(&wish), "{wish}");
    assert!(error.to_string().contains("the server asks to wait"), "{error}");
    assert_eq!(chats(&server), 1);
}
