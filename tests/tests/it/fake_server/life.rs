//! Start and end of a server.

use std::net::SocketAddr;
use std::time::Duration;

use textgrad_tests::fake_server::{FakeServer, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, chat, hello, post_to, raw_request, server_with};

/// Waits until something holds, and fails if it does not within [`PATIENCE`].
pub(crate) async fn eventually(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it holds in time");
}

/// Waits until nobody listens. Another test's server may get the port for a while.
async fn refused(address: SocketAddr) {
    let wait = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.expect("the port is closed");
}

#[tokio::test]
async fn only_the_loopback_interface_is_bound() {
    let server = server_with(&[]).await;
    assert!(server.address().ip().is_loopback());
    assert_eq!(server.url(), format!("http://127.0.0.1:{}", server.address().port()));
    assert_eq!(server.base_url(), format!("{}/v1", server.url()));
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let server = server_with(&[]).await;
    let port = server.address().port();
    let error = FakeServer::builder().port(port).start().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_dropped_server_refuses_connections_and_closes_open_ones() {
    let server = server_with(&[]).await;
    let address = server.address();
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert_eq!(chat(&server, &hello()).await.status(), 200);
    drop(server);

    refused(address).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the idle connection is closed");
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn stopping_ends_answers_under_way_and_every_task() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let server = server_with(&["stall=600000@always"]).await;
    let address = server.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = raw_request("/v1/chat/completions", &hello());
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually(|| server.stats().route(Route::Chat).in_flight == 1).await;
    assert!(tasks() > before);

    tokio::time::timeout(PATIENCE, server.stop()).await.expect("it stops in time");
    refused(address).await;
    assert_eq!(tasks(), before);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn waiting_for_requests_ends_with_the_last_of_them() {
    let server = server_with(&["reset"]).await;
    let waiting = tokio::time::timeout(PATIENCE, server.ended(2));
    let asking = async {
        post_to(&server, "/v1/chat/completions", &hello()).await.unwrap_err();
        chat(&server, &hello()).await;
    };
    let (waited, ()) = tokio::join!(waiting, asking);
    assert!(waited.is_ok());
}
