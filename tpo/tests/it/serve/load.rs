//! Limits, the queue, clients that leave, and the end of a server.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use textgrad_core::Purpose;

use super::{chat_body, end, post, serve, stalling, until};

#[tokio::test]
async fn what_does_not_fit_is_refused_with_a_time_to_come_back() {
    let (tpo, stalled) = stalling(Purpose::Sample);
    let serving = serve(tpo, |builder| builder.max_in_flight(1).max_queued(1)).await;
    let body = chat_body(json!({})).to_string();
    let running = serving.begin(&post("/v1/chat/completions"), &body).await;
    until("the first request begins", async || stalled.load(Ordering::SeqCst) == 1).await;
    let waiting = serving.begin(&post("/v1/chat/completions"), &body).await;
    until("the second request waits", async || serving.metric("tpo_queued").await == 1.0).await;
    let refused = serving.chat(json!({})).await;
    assert_eq!(refused.error(429)["code"], "rate_limit_exceeded");
    assert!(refused.headers["retry-after"].parse::<u64>().unwrap() >= 1);
    assert_eq!(serving.metric("tpo_refused_total{key=\"anonymous\"}").await, 1.0);

    // The place of a client that leaves goes to the next one.
    drop(running);
    until("the second request begins", async || serving.metric("tpo_queued").await == 0.0).await;
    drop(waiting);
    until("nothing is left", async || {
        stalled.load(Ordering::SeqCst) == 0 && serving.metric("tpo_in_flight").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_in_flight_and_takes_no_more() {
    let (tpo, stalled) = stalling(Purpose::Loss);
    let serving = serve(tpo, |builder| builder).await;
    let body = chat_body(json!({"tpo": {"deadline_ms": 500}})).to_string();
    let running = serving.begin(&post("/v1/chat/completions"), &body).await;
    until("the request begins", async || stalled.load(Ordering::SeqCst) == 1).await;
    serving.shutdown.cancel();
    let answer = end(running).await.ok();
    assert_eq!(answer["tpo"]["stopped"], "deadline");
    let address = serving.address;
    assert!(serving.stop().await, "all was answered");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_ever() {
    let (tpo, stalled) = stalling(Purpose::Loss);
    let drain = Duration::from_millis(50);
    let serving = serve(tpo, |builder| builder.drain_timeout(drain)).await;
    let body = chat_body(json!({})).to_string();
    let running = serving.begin(&post("/v1/chat/completions"), &body).await;
    until("the request begins", async || stalled.load(Ordering::SeqCst) == 1).await;
    assert!(!serving.stop().await);
    drop(running);
    until("its calls end", async || stalled.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn requests_that_do_not_arrive_end() {
    let (tpo, _) = stalling(Purpose::Sample);
    let timeout = Duration::from_millis(50);
    let serving = serve(tpo, |builder| builder.read_timeout(timeout)).await;
    let head = format!("{}\r\ncontent-length: 99\r\n\r\n", post("/v1/chat/completions"));
    for (sent, status) in [(head.as_str(), "408"), ("POST /v1/ch", "")] {
        let mut stream = tokio::net::TcpStream::connect(serving.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, sent.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut reply);
        let read = tokio::time::timeout(textgrad_tests::program::PATIENCE, read).await;
        read.expect("the connection stays open").unwrap();
        assert!(String::from_utf8_lossy(&reply).contains(status), "{sent}: {reply:?}");
    }
}
