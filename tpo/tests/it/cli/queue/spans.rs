//! Spans of a coordinator and its workers at a collector.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};

use textgrad_tests::nats::NatsServer;

use super::super::{folder, over_http, queries, simulation};
use super::{Running, worker_command};

/// Sends the body of the one request of a connection, and answers it.
fn receive(mut stream: TcpStream, bodies: &Sender<Vec<u8>>) {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some(head) = text.find("\r\n\r\n") {
            let length =
                text[..head].lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().trim().parse().unwrap();
            // The head is ASCII, so that it is as long as its bytes.
            if request.len() >= head + 4 + length {
                bodies.send(request.split_off(head + 4)).unwrap();
                break;
            }
        }
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "the request has no end");
        request.extend_from_slice(&part[..count]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

/// The ids of traces in the bytes of a message: a field of 16 bytes, before the id of a span. A name of an attribute
/// may stand like that, too, but is of ASCII.
fn traces(body: &[u8]) -> BTreeSet<Vec<u8>> {
    let spans = body.windows(20).filter(|part| part[..2] == [0x0a, 16] && part[18..] == [0x12, 8]);
    spans.map(|part| part[2..18].to_vec()).filter(|id| !id.is_ascii()).collect()
}

fn has(body: &[u8], name: &str) -> bool {
    body.windows(name.len()).any(|part| part == name.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_workers_are_children_of_the_coordinators() {
    let folder = folder();
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "", "") else { return };
    queries(folder, 2);
    let (server, url) = (simulation().start().await.unwrap(), nats.url("spans"));
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for stream in collector.incoming() {
            receive(stream.unwrap(), &sender);
        }
    });
    let exported = |mut command: std::process::Command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
        Running::start(command)
    };
    let searching = exported(worker_command(folder, &server, &url, &[]));
    exported(over_http(folder, &server, &["--queue", &url])).end().with_code(0);
    searching.end().with_code(0);

    let bodies: Vec<Vec<u8>> = received.try_iter().collect();
    let with = |name: &str| bodies.iter().filter(|body| has(body, name)).count();
    for name in ["run tpo", "delivery", "search tpo", "chat sim", "gen_ai.usage.output_tokens"] {
        assert!(with(name) > 0, "no {name} in {} bodies", bodies.len());
    }
    assert_eq!(with("Why does wood"), 0, "texts are in no span");
    let all: BTreeSet<Vec<u8>> = bodies.iter().flat_map(|body| traces(body)).collect();
    assert_eq!(all.len(), 1, "{} bodies", bodies.len());
}
