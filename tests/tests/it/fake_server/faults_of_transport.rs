//! Faults of connections, bodies and time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use textgrad_tests::fake_server::{FakeServer, Fault, MAX_DELAY, Route};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::life::eventually;
use super::{
    chat, classify, events_of, hello, hello_and, json_of, post_to, raw, raw_request, server_with,
};

const CHAT: &str = "/v1/chat/completions";

/// The body of a raw answer, and the length that its head promises.
fn body_and_length(bytes: &[u8]) -> (String, Option<usize>) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map(|length| length.parse().unwrap());
    (body.to_owned(), length)
}

#[tokio::test]
async fn a_body_is_cut_off_before_its_length() {
    let server = server_with(&["cut-off-body@first:2", "cut-off-body,classify"]).await;
    for (path, request) in [(CHAT, hello()), ("/classify", json!({ "input": "x" }))] {
        let (bytes, ended) = raw(&server, path, &request).await;
        ended.expect("an orderly end, only too early");
        let (body, length) = body_and_length(&bytes);
        assert_eq!(body.len(), length.unwrap() / 2, "{body}");
        assert!(body.starts_with('{'), "{body}");
    }
    let error = chat(&server, &hello()).await.text().await.unwrap_err();
    assert!(error.is_decode() || error.is_body(), "{error:?}");
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    assert_eq!(server.stats().fault("cut-off-body"), 3);
}

#[tokio::test]
async fn a_stream_ends_in_its_middle_without_done() {
    let server = server_with(&["cut-off-body"]).await;
    let body = hello_and(json!({ "stream": true }));
    let cut = events_of(chat(&server, &body).await).await;
    assert!(cut.iter().any(|event| event.contains("0: hello")), "{cut:?}");
    assert!(cut.iter().all(|event| event != "[DONE]"), "{cut:?}");
    assert!(cut.iter().all(|event| !event.contains("stop")), "{cut:?}");
    let whole = events_of(chat(&server, &body).await).await;
    assert_eq!(whole.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn a_stream_can_fail_in_its_middle_or_not_be_json() {
    let server = server_with(&["stream-error", "not-json@nth:2"]).await;
    let body = hello_and(json!({ "stream": true }));
    let events = events_of(chat(&server, &body).await).await;
    let [before @ .., error, done] = events.as_slice() else {
        panic!("too few events: {events:?}");
    };
    assert!(before.iter().any(|event| event.contains("0: hello")), "{before:?}");
    let error: Value = serde_json::from_str(error).unwrap();
    assert_eq!(error["error"]["type"], "InternalServerError");
    assert_eq!(error["error"]["code"], 500);
    assert_eq!(done, "[DONE]");

    let events = events_of(chat(&server, &body).await).await;
    assert!(serde_json::from_str::<Value>(&events[0]).is_err());
    assert_eq!(server.stats().fault("stream-error"), 1);
    assert_eq!(server.stats().fault("not-json"), 1);
}

#[tokio::test]
async fn a_connection_is_reset_before_any_byte() {
    let server = server_with(&["reset@any,first:2"]).await;
    for (path, request) in [(CHAT, hello()), ("/classify", json!({ "input": "x" }))] {
        let (bytes, ended) = raw(&server, path, &request).await;
        assert_eq!(bytes, b"");
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    let error = post_to(&server, CHAT, &hello()).await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    let figures = server.stats().route(Route::Chat);
    assert_eq!((figures.dropped, figures.in_flight), (2, 0));
    assert_eq!(server.stats().fault("reset"), 3);
}

#[tokio::test]
async fn a_stalled_answer_comes_late_and_a_client_that_left_is_noticed() {
    let server = server_with(&["stall=60", "stall=600000@nth:2"]).await;
    let start = Instant::now();
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(60));

    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = raw_request(CHAT, &hello());
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually(|| server.stats().route(Route::Chat).in_flight == 1).await;
    drop(stream);
    eventually(|| server.stats().route(Route::Chat).in_flight == 0).await;
    assert_eq!(server.stats().route(Route::Chat).dropped, 1);
    assert_eq!(server.stats().fault("stall"), 2);
}

#[tokio::test]
async fn latency_holds_answers_back() {
    let server = FakeServer::builder().latency(Duration::from_millis(60)).start().await.unwrap();
    let start = Instant::now();
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
    let start = Instant::now();
    let score = classify(&server, &json!({ "input": "x" })).await;
    assert_eq!(score.status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn errors_come_at_once_whatever_the_latency() {
    let server =
        FakeServer::builder().latency(MAX_DELAY).fault(Fault::ServerError).start().await.unwrap();
    // Held back, it would be too late for the client's patience.
    assert_eq!(chat(&server, &hello()).await.status(), 500);
}

#[tokio::test]
async fn a_slow_body_comes_in_pieces_that_split_characters_and_is_whole_in_the_end() {
    let server = server_with(&["slow-body=30@always,any"]).await;
    let text = "😀".repeat(20_000);
    let body = json!({ "messages": [{ "role": "user", "content": text }], "stream": true });
    let start = Instant::now();
    let mut response = chat(&server, &body).await;
    let mut pieces = Vec::new();
    while let Some(piece) = response.chunk().await.unwrap() {
        pieces.push(piece);
    }
    assert!(start.elapsed() >= Duration::from_millis(29), "not at once");
    assert!(pieces.len() > 1);
    assert!(
        pieces.iter().any(|piece| std::str::from_utf8(piece).is_err()),
        "a character is split over two pieces"
    );
    let whole = String::from_utf8(pieces.concat()).unwrap();
    assert_eq!(whole.matches('😀').count(), 20_000);
    assert!(whole.ends_with("data: [DONE]\n\n"));

    let answer = json_of(chat(&server, &hello()).await).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "0: hello");
    let score = json_of(classify(&server, &json!({ "input": "x" })).await).await;
    assert_eq!(score["data"][0]["num_classes"], 1);
    assert_eq!(server.stats().fault("slow-body"), 3);
}
