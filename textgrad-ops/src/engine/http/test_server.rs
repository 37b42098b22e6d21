//! A server on loopback that gives each connection one scripted reply, byte for byte, and then stops.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as received.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct TestServer {
    pub(crate) address: String,
    task: JoinHandle<Vec<Seen>>,
}

impl TestServer {
    /// Answers as many connections as there are replies; each reply is written in its pieces, then the
    /// connection is closed.
    pub(crate) async fn start(replies: Vec<Vec<Vec<u8>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async move {
            let mut seen = Vec::new();
            for reply in replies {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                seen.push(read(&mut stream).await);
                for piece in reply {
                    stream.write_all(&piece).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            seen
        };
        // A client that never comes must not keep a test waiting.
        let bounded = async { tokio::time::timeout(Duration::from_secs(20), serve).await.unwrap() };
        Self { address, task: tokio::spawn(bounded) }
    }

    /// What was asked, once all replies are given.
    pub(crate) async fn seen(self) -> Vec<Seen> {
        self.task.await.unwrap()
    }
}

/// A whole reply with its length.
pub(crate) fn reply(status: u16, headers: &str, body: &str) -> Vec<Vec<u8>> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    vec![head.into_bytes(), body.as_bytes().to_vec()]
}

/// A reply of type `text/event-stream` in pieces of `size` bytes.
pub(crate) fn events(text: &str, size: usize) -> Vec<Vec<u8>> {
    let head =
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n".to_vec();
    std::iter::once(head).chain(text.as_bytes().chunks(size).map(<[u8]>::to_vec)).collect()
}

async fn read(stream: &mut TcpStream) -> Seen {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            let body = &bytes[end + 4..];
            if body.len() >= length {
                return Seen { head, body: body.to_vec() };
            }
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the request is cut off");
    }
}
