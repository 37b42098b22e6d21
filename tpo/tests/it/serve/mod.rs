//! The server with OpenAI's API, over sockets of this machine.

mod access;
mod anytime;
mod chat;
mod faults;
mod load;
mod pass;
mod record;
mod responses;
mod stream;

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use textgrad_core::{Engine, Purpose, Request, engine_fn};
use textgrad_ops::sim::Sim;
use textgrad_tests::program::PATIENCE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tpo::serve::{Server, ServerBuilder};
use tpo::{CancellationToken, SimReward, Tpo};

const QUERY: &str = "How do I take care of a wooden table?";

fn tpo() -> Tpo {
    with_engine(Arc::new(Sim::default()))
}

fn with_engine(engine: Arc<dyn Engine>) -> Tpo {
    Tpo::builder(engine, Arc::new(SimReward)).build().unwrap()
}

/// The simulation, but for requests of one purpose, which are never answered. Counts those under way.
fn stalling(purpose: Purpose) -> (Tpo, Arc<AtomicUsize>) {
    struct UnderWay(Arc<AtomicUsize>);
    impl Drop for UnderWay {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let (sim, stalled) = (Arc::new(Sim::default()), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&stalled);
    let engine = engine_fn("sim", move |request: Request| {
        let (sim, stalled) = (Arc::clone(&sim), Arc::clone(&counted));
        async move {
            if request.purpose == purpose {
                stalled.fetch_add(1, Ordering::SeqCst);
                let _under_way = UnderWay(stalled);
                pending::<()>().await;
            }
            sim.complete(&request).await
        }
    });
    (with_engine(Arc::new(engine)), stalled)
}

/// A running server.
struct Serving {
    address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<bool>,
}

async fn serve(tpo: Tpo, set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Serving {
    running(set(Server::builder(tpo)).build()).await
}

async fn running(server: Server) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let token = shutdown.clone();
    let running = tokio::spawn(async move {
        server.run(listener, token, CancellationToken::new()).await.unwrap()
    });
    Serving { address, shutdown, running }
}

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answered request.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// The error of a refused request.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let mut json = self.json();
        assert!(
            json["error"]["message"].is_string() && json["error"]["type"].is_string(),
            "{json}"
        );
        json["error"].take()
    }

    /// The JSON events of a stream that ended.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{self:?}");
        let mut lines: Vec<&str> =
            self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(lines.pop(), Some("[DONE]"), "{self:?}");
        lines.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Serving {
    /// Sends a request on a connection of its own.
    async fn begin(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let head = format!("{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        stream
    }

    async fn send(&self, head: &str, body: &str) -> Reply {
        end(self.begin(head, body).await).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost"), "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(&post(path), &body.to_string()).await
    }

    /// A chat completion of the usual query, with more fields.
    async fn chat(&self, more: Value) -> Reply {
        self.post("/v1/chat/completions", &chat_body(more)).await
    }

    async fn metric(&self, sample: &str) -> f64 {
        let text = self.get("/metrics").await.body;
        let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Stops it, and waits for its end.
    async fn stop(self) -> bool {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap()
    }
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json")
}

pub(crate) fn chat_body(more: Value) -> Value {
    let mut body = json!({"model": "tpo", "messages": [{"role": "user", "content": QUERY}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

pub(crate) async fn end(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    read.await.expect("the reply does not end").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(a, b)| (a.to_lowercase(), b.into()))
        .collect();
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    let body = if chunked { joined(body) } else { body.to_owned() };
    Reply { status, headers, body }
}

/// The text of a body in chunks.
fn joined(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        text.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    text
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
