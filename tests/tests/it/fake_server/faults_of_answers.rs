//! Faults of status and of content.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use textgrad_tests::fake_server::{FakeServer, Fault, FaultRule, On, Route, When};

use super::{chat, classify, events_of, hello, hello_and, json_of, saying, server_with};

/// A server that says this text, with a fault always.
async fn spoiling(fault: &str, text: &'static str) -> FakeServer {
    let rule: FaultRule = fault.parse().unwrap();
    FakeServer::builder().engine(saying(text)).fault(rule.when(When::Always)).start().await.unwrap()
}

#[tokio::test]
async fn errors_of_status_come_once_and_the_next_request_is_answered() {
    for (fault, status, kind) in [
        ("500", 500, "InternalServerError"),
        ("503", 503, "ServiceUnavailableError"),
        ("400", 400, "BadRequestError"),
    ] {
        let server = server_with(&[fault]).await;
        let response = chat(&server, &hello()).await;
        assert_eq!(response.status(), status);
        let body = json_of(response).await;
        assert_eq!(body["error"]["type"], kind);
        assert_eq!(body["error"]["code"], status);
        assert_eq!(chat(&server, &hello()).await.status(), 200);
        assert_eq!(server.stats().fault(fault), 1);
    }
    let server = server_with(&["401"]).await;
    let response = chat(&server, &hello()).await;
    assert_eq!(response.status(), 401);
    assert_eq!(json_of(response).await, json!({ "error": "Unauthorized" }));
}

#[tokio::test]
async fn rate_limits_say_when_to_come_back_in_every_spelling() {
    let rules = [
        "429-ms=20",
        "429-seconds=0.02@nth:2",
        "429-date=1@nth:3",
        "429-plain@nth:4",
        "429-quota@nth:5",
    ];
    let server = server_with(&rules).await;
    let start = SystemTime::now();
    let mut answers = Vec::new();
    for _ in rules {
        let response = chat(&server, &hello()).await;
        assert_eq!(response.status(), 429);
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (millis, after) = (header("retry-after-ms"), header("retry-after"));
        let code = json_of(response).await["error"]["code"].clone();
        answers.push((millis, after, code));
    }
    let limit = json!("rate_limit_exceeded");
    assert_eq!(answers[0], (Some("20".to_owned()), None, limit.clone()));
    assert_eq!(answers[1], (None, Some("0.02".to_owned()), limit.clone()));
    assert_eq!(answers[3], (None, None, limit.clone()));
    assert_eq!(answers[4], (None, None, json!("insufficient_quota")));

    let (millis, after, code) = &answers[2];
    assert_eq!((millis, code), (&None, &limit));
    let date = httpdate::parse_http_date(after.as_deref().unwrap()).unwrap();
    // A second after it was asked, rounded up, and not a second more.
    assert!(date + Duration::from_millis(1) >= start + Duration::from_secs(1));
    assert!(date <= SystemTime::now() + Duration::from_secs(2));
    assert_eq!(chat(&server, &hello()).await.status(), 200);
}

#[tokio::test]
async fn pages_come_instead_of_json() {
    let server = server_with(&["html", "html-502@nth:2", "not-json@nth:3"]).await;
    for status in [200, 502] {
        let response = chat(&server, &hello()).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        assert!(response.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    }
    let response = chat(&server, &hello()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = response.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");
}

#[tokio::test]
async fn faults_are_for_their_route() {
    let rule = FaultRule::new(Fault::ServerError);
    let server = FakeServer::builder()
        .fault(rule.clone().on(On::Classify))
        .fault(rule.when(When::Nth(2)).on(On::Any))
        .start()
        .await
        .unwrap();
    let score = json!({ "input": "x" });
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(chat(&server, &hello()).await.status().as_u16());
        statuses.push(classify(&server, &score).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 500, 500, 500, 200, 200]);
    assert_eq!(server.stats().fault("500"), 3);
    assert_eq!(server.stats().route(Route::Classify).statuses["5xx"], 2);
}

#[tokio::test]
async fn choices_can_be_missing() {
    let server = spoiling("empty-choices", "x").await;
    assert_eq!(json_of(chat(&server, &hello()).await).await["choices"], json!([]));
    let streamed = chat(&server, &hello_and(json!({ "stream": true }))).await;
    assert_eq!(events_of(streamed).await, ["[DONE]"]);

    let server = spoiling("fewer-choices=2", "x").await;
    let count = |body: Value| body["choices"].as_array().unwrap().len();
    let five = hello_and(json!({ "n": 5 }));
    assert_eq!(count(json_of(chat(&server, &five).await).await), 2);
    assert_eq!(count(json_of(chat(&server, &hello()).await).await), 1);
    assert_eq!(server.stats().fault("fewer-choices"), 1, "one had nothing to lose");
}

#[tokio::test]
async fn content_can_be_null() {
    let server = spoiling("null-content", "x").await;
    let body = json_of(chat(&server, &hello()).await).await;
    assert_eq!(body["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let events = events_of(chat(&server, &hello_and(json!({ "stream": true }))).await).await;
    let contents: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| {
            serde_json::from_str::<Value>(event).unwrap()["choices"][0]["delta"]["content"].clone()
        })
        .collect();
    assert_eq!(contents, [Value::Null, Value::Null]);
}

#[tokio::test]
async fn texts_are_spoiled_whole_and_streamed_alike() {
    const TAGGED: &str = "Sure.\n<ANSWER>\nübrig\n</ANSWER>";
    for (fault, expected, reason) in [
        ("length", "Sure.\n<ANSWER>\n", "length"),
        ("missing-tags", "Sure.\nübrig\n", "stop"),
        ("missing-close-tag", "Sure.\n<ANSWER>\nübrig\n", "stop"),
        (
            "tags-inside",
            "Sure.\n<ANSWER>\nüb (between <ANSWER> and </ANSWER>) rig\n</ANSWER>",
            "stop",
        ),
    ] {
        let server = spoiling(fault, TAGGED).await;
        let body = json_of(chat(&server, &hello()).await).await;
        assert_eq!(body["choices"][0]["message"]["content"], expected, "{fault}");
        assert_eq!(body["choices"][0]["finish_reason"], reason, "{fault}");

        let events = events_of(chat(&server, &hello_and(json!({ "stream": true }))).await).await;
        let mut text = String::new();
        let mut end = None;
        for event in &events[..events.len() - 1] {
            let chunk: Value = serde_json::from_str(event).unwrap();
            let choice = &chunk["choices"][0];
            text += choice["delta"]["content"].as_str().unwrap_or_default();
            end = choice["finish_reason"].as_str().map(str::to_owned).or(end);
        }
        assert_eq!((text.as_str(), end.as_deref()), (expected, Some(reason)), "{fault}");
        assert_eq!(server.stats().fault(fault), 2);
    }
}

#[tokio::test]
async fn a_fault_with_nothing_to_work_on_leaves_the_answer_whole_and_does_not_count() {
    for fault in ["missing-tags", "missing-close-tag", "tags-inside", "stream-error"] {
        let server = spoiling(fault, "1 < 2\n").await;
        let body = json_of(chat(&server, &hello()).await).await;
        assert_eq!(body["choices"][0]["message"]["content"], "1 < 2\n");
        assert_eq!(server.stats().fault(fault), 0, "{fault}");
    }
}
