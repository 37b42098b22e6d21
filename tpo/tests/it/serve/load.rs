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
    assert!(refused.headers["x-tpo-id"].starts_with("chatcmpl-"));

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
async fn a_deadline_holds_while_a_request_waits_for_a_place() {
    let (tpo, stalled) = stalling(Purpose::Sample);
    let serving = serve(tpo, |builder| builder.max_in_flight(1)).await;
    let body = chat_body(json!({})).to_string();
    let running = serving.begin(&post("/v1/chat/completions"), &body).await;
    until("the first request begins", async || stalled.load(Ordering::SeqCst) == 1).await;
    for model in ["tpo", "policy"] {
        let more = json!({"model": model, "tpo": {"deadline_ms": 50}});
        let error = serving.chat(more).await.error(429);
        assert!(error["message"].as_str().unwrap().contains("the server is full"), "{error}");
    }
    drop(running);
}

#[tokio::test]
async fn a_server_that_stops_refuses_new_requests_while_others_are_in_flight() {
    let (tpo, stalled) = stalling(Purpose::Loss);
    let serving = serve(tpo, |builder| builder).await;
    let body = chat_body(json!({"tpo": {"deadline_ms": 1500}})).to_string();
    let running = serving.begin(&post("/v1/chat/completions"), &body).await;
    until("the request begins", async || stalled.load(Ordering::SeqCst) == 1).await;
    serving.shutdown.cancel();
    until("the server drains", async || serving.get("/ready").await.status == 503).await;
    let refused = serving.chat(json!({})).await;
    assert_eq!(refused.error(503)["code"], "shutting_down");
    assert_eq!(refused.headers["connection"], "close");
    assert_eq!(serving.metric("tpo_ready").await, 0.0);
    assert_eq!(end(running).await.ok()["tpo"]["stopped"], "deadline");
    assert!(serving.stop().await);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_ever() {
    let (tpo, stalled) = stalling(Purpose::Loss);
    let drain = Duration::from_millis(50);
    let serving = serve(tpo, |builder| builder.drain_timeout(drain)).await;
    let mut running = Vec::new();
    for stream in [false, true] {
        let body = chat_body(json!({"stream": stream})).to_string();
        running.push(serving.begin(&post("/v1/chat/completions"), &body).await);
    }
    until("the requests begin", async || stalled.load(Ordering::SeqCst) == 2).await;
    assert!(!serving.stop().await);
    // They have the best answers so far.
    let streamed = end(running.remove(1)).await.events();
    for own in [&end(running.remove(0)).await.ok()["tpo"], &streamed.last().unwrap()["tpo"]] {
        assert_eq!((&own["complete"], &own["candidates"]), (&json!(false), &json!(5)), "{own}");
    }
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

#[tokio::test]
async fn connections_beyond_the_most_wait_and_idle_ones_end() {
    let (tpo, _) = stalling(Purpose::Sample);
    let timeout = Duration::from_millis(300);
    let set = |builder: tpo::serve::ServerBuilder| builder.max_connections(2).read_timeout(timeout);
    let serving = serve(tpo, set).await;
    // Neither sends anything.
    let begun = std::time::Instant::now();
    let idle = [(); 2].map(|()| tokio::net::TcpStream::connect(serving.address));
    let idle = futures_util::future::try_join_all(idle).await.unwrap();
    assert_eq!(serving.get("/health").await.status, 200);
    assert!(begun.elapsed() >= timeout, "a third connection was served");
    drop(idle);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_neither_a_place_nor_a_connection() {
    let long = "a long answer ".repeat(700_000);
    let engine = textgrad_core::engine_fn("long", move |_| {
        let choice = textgrad_core::Choice::new(long.clone(), textgrad_core::FinishReason::Stop);
        async { Ok(textgrad_core::Response::new(vec![choice])) }
    });
    let tpo = super::with_engine(std::sync::Arc::new(engine));
    let timeout = Duration::from_millis(200);
    let serving = serve(tpo, |builder| builder.write_timeout(timeout)).await;
    for stream in [true, false] {
        let body = chat_body(json!({"model": "bon-1", "stream": stream})).to_string();
        let unread = serving.begin(&post("/v1/chat/completions"), &body).await;
        let ended = "tpo_searches_total{end=\"complete\"}";
        let expected = if stream { 1.0 } else { 2.0 };
        until("the search ends", async || serving.metric(ended).await == expected).await;
        until("its place is free", async || serving.metric("tpo_in_flight").await == 0.0).await;
        until("the connection ends", async || serving.metric("tpo_connections").await == 1.0).await;
        drop(unread);
    }
}
