//! The fake server, seen from the other end of the wire.

mod answers;
mod binary;
mod faults_of_answers;
mod faults_of_transport;
mod life;
mod scores;
mod stats;

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use textgrad_core::{Choice, Engine, FinishReason, Request, engine_fn};
use textgrad_tests::fake_server::{FakeServer, FaultRule};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here takes long; a test that waits for what never comes fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// One client, since each one parses the certificates anew. No connection outlives the runtime of its test.
fn client() -> Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        // A client needs a provider of TLS even where it only speaks plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0);
        client.build().unwrap()
    });
    CLIENT.clone()
}

/// An echoing server with these faults.
async fn server_with(faults: &[&str]) -> FakeServer {
    let mut builder = FakeServer::builder();
    for fault in faults {
        builder = builder.fault(fault.parse::<FaultRule>().unwrap());
    }
    builder.start().await.unwrap()
}

/// An engine that always says the same.
fn saying(text: &'static str) -> impl Engine {
    engine_fn("saying", move |request: Request| async move {
        let choice = Choice::new(text, FinishReason::Stop);
        Ok(textgrad_core::Response::new(vec![choice; request.sampling.n as usize]))
    })
}

/// A request for one answer to one user message.
fn hello() -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] })
}

/// The same with more fields.
fn hello_and(fields: Value) -> Value {
    let mut body = hello();
    let map = body.as_object_mut().unwrap();
    map.extend(fields.as_object().unwrap().clone());
    body
}

async fn post_to(server: &FakeServer, path: &str, body: &Value) -> reqwest::Result<Response> {
    let url = format!("{}{path}", server.url());
    client().post(url).json(body).send().await
}

async fn chat(server: &FakeServer, body: &Value) -> Response {
    post_to(server, "/v1/chat/completions", body).await.unwrap()
}

async fn classify(server: &FakeServer, body: &Value) -> Response {
    post_to(server, "/classify", body).await.unwrap()
}

async fn json_of(response: Response) -> Value {
    response.json().await.unwrap()
}

/// The data of the events of a stream, in order.
async fn events_of(response: Response) -> Vec<String> {
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = response.text().await.unwrap();
    assert!(text.ends_with("\n\n"), "{text}");
    text.split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
        .collect()
}

/// A request in bytes, after which the connection is to be closed.
fn raw_request(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// All bytes that come back for a request, until the server closes the connection or resets it.
async fn raw(server: &FakeServer, path: &str, body: &Value) -> (Vec<u8>, std::io::Result<()>) {
    let request = raw_request(path, body);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    let ended = read.await.expect("the connection ends").map(|_| ());
    (bytes, ended)
}
