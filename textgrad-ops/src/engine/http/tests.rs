//! The client against a server on loopback.

use std::error::Error as _;
use std::time::Duration;

use serde_json::{Value, json};
use textgrad_core::{EngineError, ErrorKind};

use super::base_url::BaseUrl;
use super::test_server::{TestServer, reply};
use super::{HttpOptions, JsonClient, JsonClientBuilder};

/// No proxies.
fn direct() -> HttpOptions {
    HttpOptions::default().no_proxy()
}

fn client(server: &TestServer) -> JsonClientBuilder {
    JsonClient::builder(format!("http://{}/v1/", server.address)).http(direct())
}

async fn post(server: &TestServer) -> Result<Value, EngineError> {
    client(server).build()?.post("/path", &json!({"a": 1})).await
}

#[tokio::test]
async fn a_post_sends_its_body_key_and_headers() {
    let server = TestServer::start(vec![reply(200, "", r#"{"ok": true}"#)]).await;
    let client = client(&server)
        .key(" sk-secret\n")
        .http(direct().organization("org-1").header("X-Team", "blue"))
        .build()
        .unwrap();
    assert_eq!(
        client.post::<_, Value>("path", &json!({"a": 1})).await.unwrap(),
        json!({"ok": true})
    );
    let seen = &server.seen().await[0];
    assert!(seen.head.starts_with("post /v1/path http/1.1\r\n"), "{}", seen.head);
    for line in [
        "authorization: bearer sk-secret",
        "openai-organization: org-1",
        "x-team: blue",
        "content-type: application/json",
    ] {
        assert!(seen.head.lines().any(|seen| seen == line), "{line} in {}", seen.head);
    }
    assert_eq!(seen.json(), json!({"a": 1}));
}

#[tokio::test]
async fn a_get_keeps_query_and_user_of_the_base_url_to_itself() {
    let server = TestServer::start(vec![
        reply(200, "", "[1]"),
        reply(404, "", "nothing at api-version=2024 for pass-word"),
    ])
    .await;
    let client =
        JsonClient::builder(format!("http://me:pass-word@{}/v1?api-version=2024", server.address))
            .http(direct())
            .build()
            .unwrap();
    assert_eq!(client.get::<Vec<u32>>("models").await.unwrap(), [1]);
    let error = client.get::<Vec<u32>>("models").await.unwrap_err();
    let address = server.address.clone();
    assert_eq!(
        error.to_string(),
        format!(
            "GET http://{address}/v1/models: the server failed with `nothing at api-version=[redacted] for [redacted]`; check the base URL and the name of the model (HTTP 404)"
        )
    );
    let seen = server.seen().await;
    assert!(
        seen[0].head.starts_with("get /v1/models?api-version=2024 http/1.1"),
        "{}",
        seen[0].head
    );
    assert!(seen[0].head.contains("authorization: basic "), "{}", seen[0].head);
}

#[tokio::test]
async fn a_failed_reply_is_an_error_with_its_status_and_wait() {
    let server = TestServer::start(vec![reply(
        429,
        "retry-after: 7\r\n",
        r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
    )])
    .await;
    let error = post(&server).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimited, Some(429)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert!(error.message().contains("slow down [rate_limit_exceeded]"), "{error}");
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_a_broken_connection() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":".to_vec();
    let server = TestServer::start(vec![vec![cut]]).await;
    let error = post(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.is_retryable());
    assert!(error.to_string().contains("broke before the reply was whole"), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_closed_without_a_reply_is_broken() {
    let server = TestServer::start(vec![vec![]]).await;
    let error = post(&server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    let mut chain = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(!chain.contains("http://"), "{chain}");
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = JsonClient::builder(format!("http://{address}")).http(direct()).build().unwrap();
    let error = client.get::<Value>("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("could not connect"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_a_timeout() {
    // Accepts, and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = JsonClient::builder(format!("http://{}", listener.local_addr().unwrap()))
        .http(direct().request_timeout(Duration::from_millis(50)))
        .build()
        .unwrap();
    let error = client.get::<Value>("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("50ms"), "{error}");
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound() {
    let unannounced =
        vec![b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), b"[1,2,3,4,5,6]".to_vec()];
    let server = TestServer::start(vec![
        reply(200, "", "[1,2,3,4,5,6]"),
        unannounced,
        reply(200, "", "[1]"),
    ])
    .await;
    let client = client(&server).http(direct().max_body(8)).build().unwrap();
    for _ in 0..2 {
        let error = client.get::<Value>("x").await.unwrap_err();
        assert!(error.to_string().contains("larger than 8 bytes"), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(client.get::<Value>("x").await.unwrap(), json!([1]));
    assert_eq!(server.seen().await.len(), 3);
}

#[tokio::test]
async fn a_reply_of_another_shape_is_quoted() {
    let server = TestServer::start(vec![reply(200, "", r#"{"scores": [1]}"#)]).await;
    let client = client(&server).build().unwrap();
    let error = client.get::<Vec<u32>>("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResponse);
    assert!(error.to_string().contains(r#"`{"scores":[1]}`"#), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = TestServer::start(vec![reply(307, "location: /elsewhere\r\n", "")]).await;
    let error = post(&server).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::InvalidRequest, Some(307)));
    assert_eq!(server.seen().await.len(), 1);
}

#[test]
fn settings_that_cannot_be_sent_are_refused() {
    let build = |builder: JsonClientBuilder| builder.build().map(|_| ()).unwrap_err();
    let base = || JsonClient::builder("http://h");
    assert_eq!(build(base().key("  ")).kind(), ErrorKind::Auth);
    assert_eq!(build(base().key("a\nb")).kind(), ErrorKind::Auth);
    assert_eq!(build(base().http(direct().header("x y", "v"))).kind(), ErrorKind::InvalidRequest);
    assert_eq!(
        build(base().http(direct().header("x", "a\u{7}hunter2"))).kind(),
        ErrorKind::InvalidRequest
    );
    assert!(
        !build(base().http(direct().header("x", "a\u{7}hunter2"))).to_string().contains("hunter2")
    );
    assert!(
        build(base().key("k").http(direct().header("Authorization", "v")))
            .to_string()
            .contains("twice")
    );
    assert!(build(JsonClient::builder("http://u:p@h").key("k")).to_string().contains("both"));
}

#[test]
fn debug_shows_no_secret() {
    let builder = JsonClient::builder("http://u:hunter2@h/v1?k=hunter2")
        .http(HttpOptions::default().header("x", "hunter2"));
    for shown in [format!("{builder:?}"), format!("{:?}", builder.clone().build().unwrap())] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(!format!("{:?}", JsonClient::builder("http://h").key("hunter2")).contains("hunter2"));
}

#[test]
fn the_client_can_be_shared() {
    fn assert_shareable<T: Send + Sync + Clone + 'static>() {}
    assert_shareable::<JsonClient>();
    assert_shareable::<JsonClientBuilder>();
}

#[test]
fn a_path_is_joined_with_and_without_slashes() {
    for base in ["http://h:1/v1", "http://h:1/v1/", " http://h:1/v1// "] {
        let base = BaseUrl::parse(base, "").unwrap();
        for path in ["chat/completions", "/chat/completions"] {
            assert_eq!(base.join(path).as_str(), "http://h:1/v1/chat/completions");
        }
        assert_eq!(base.join("").as_str(), "http://h:1/v1");
    }
    let root = BaseUrl::parse("http://h", "").unwrap();
    assert_eq!(root.join("classify").as_str(), "http://h/classify");
}

#[test]
fn the_query_of_a_path_follows_that_of_the_base_url() {
    let base = BaseUrl::parse("http://h/v1", "").unwrap();
    assert_eq!(base.join("a:b?alt=sse").as_str(), "http://h/v1/a:b?alt=sse");
    let base = BaseUrl::parse("http://h/v1?x=1", "").unwrap();
    assert_eq!(base.join("a?alt=sse").as_str(), "http://h/v1/a?x=1&alt=sse");
}

#[test]
fn a_query_is_sent_but_not_shown() {
    let base = BaseUrl::parse("https://user:pass-word@h/v1?api-version=2024#x", "").unwrap();
    assert_eq!(base.join("chat").as_str(), "https://user:pass-word@h/v1/chat?api-version=2024");
    assert_eq!(base.shown(), "https://h/v1");
    assert!(base.has_credentials());
    assert_eq!(base.secrets(), ["pass-word", "2024"]);
}

#[test]
fn what_is_no_base_url_is_named_without_being_repeated() {
    for text in ["", "user:hunter2@host/v1", "ftp://hunter2", "http://"] {
        let error = BaseUrl::parse(text, "").map(|base| base.shown()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains("http://localhost:8000/v1"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
