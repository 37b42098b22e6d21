//! `tpo serve`, as a process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use textgrad_tests::fake_server::{FakeServer, Route};
use textgrad_tests::program::Running;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::interrupt::send;
use super::kill::known;
use super::{folder, pointed_at, program, quiet, read, simulation};
use crate::serve::{Reply, chat_body, end, until};

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program(folder);
    command.args(["serve", "--port", "0"]).args(arguments);
    command
}

/// Starts a server, and waits for the address that it prints.
fn start(mut command: Command) -> (Running, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = command.spawn().unwrap();
    let mut line = String::new();
    let read = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if read == 0 {
        let output = child.wait_with_output().unwrap();
        panic!("no address: {}", String::from_utf8_lossy(&output.stderr));
    }
    let address = line.trim().strip_prefix("http://").and_then(|line| line.strip_suffix("/v1"));
    (child.into(), address.unwrap().to_owned())
}

async fn begin(address: &str, key: Option<&str>, more: Value) -> TcpStream {
    let body = chat_body(more).to_string();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         {}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        key.map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn chat(address: &str, more: Value) -> Reply {
    end(begin(address, None, more).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_terminated_answers_what_is_in_flight() {
    let folder = folder();
    let (running, address) = start(command(folder.path(), &["--sim-latency-ms", "50"]));
    let answer = chat(&address, json!({"model": "bon-2"})).await.ok();
    assert_eq!(answer["tpo"]["simulated"], true);
    let in_flight = begin(&address, None, json!({"stream": true})).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    send("TERM", &running);
    let events = end(in_flight).await.events();
    assert_eq!(events.last().unwrap()["tpo"]["complete"], true);
    let ended = running.end().with_code(0);
    assert!(ended.err.contains("answers are SIMULATED"), "{}", ended.err);
    assert!(ended.err.contains("waiting for requests in flight"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_pays_for_nothing_twice_when_a_request_is_repeated() {
    let folder = folder();
    for (round, moment) in [1, 4, 9].into_iter().enumerate() {
        let server = simulation().latency(Duration::from_millis(5)).start().await.unwrap();
        let out = format!("served-{round}");
        let arguments = || {
            let mut arguments = pointed_at(&server);
            arguments.extend(["--out".to_owned(), out.clone()]);
            arguments
        };
        let with = |arguments: Vec<String>| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            command(folder.path(), &arguments)
        };
        // Not all is answered: the search must not end before the kill.
        server.answer_at_most(moment + 2);
        let (mut running, address) = start(with(arguments()));
        let begun = begin(&address, Some("one"), json!({})).await;
        server.ended(moment).await;
        running.kill();
        drop((begun, running));
        quiet(&server).await;
        server.answer_at_most(u64::MAX);

        let entry = std::fs::read_dir(folder.path().join(&out)).unwrap().next().unwrap();
        let run = entry.unwrap().path();
        let (calls, _) = known(&read(run.join("journal.jsonl")));
        let answered = server.stats().route(Route::Chat).requests;

        let (running, address) = start(with(arguments()));
        let answer = end(begin(&address, Some("one"), json!({})).await).await.ok();
        assert_eq!(answer["tpo"]["complete"], true);
        let chats = server.stats().route(Route::Chat);
        assert_eq!(chats.requests - answered, 7 - calls, "all that the journal did not know");
        assert!(chats.paid_twice <= answered - calls, "killed at {moment}: {chats:?}");
        send("TERM", &running);
        running.end().with_code(0);
        let mut verify = program(folder.path());
        verify.arg("verify").arg(run);
        Running::start(verify).end().with_code(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_down_costs_nothing_but_a_try() {
    let folder = folder();
    let servers = [simulation().start().await.unwrap(), simulation().start().await.unwrap()];
    let dead = FakeServer::builder().start().await.unwrap();
    let dead_url = dead.base_url();
    dead.stop().await;
    let mut arguments = pointed_at(&servers[0]);
    for url in [dead_url, servers[1].base_url()] {
        arguments.extend(["--base-url".to_owned(), url]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (running, address) = start(command(folder.path(), &arguments));
    for question in 0..12 {
        let messages =
            json!([{"role": "user", "content": format!("Why does wood {question} float?")}]);
        let more = json!({"messages": messages, "model": "tpo-d1-n2"});
        let own = chat(&address, more).await.ok()["tpo"].take();
        assert_eq!(own["complete"], true, "{own}");
    }
    for server in &servers {
        assert!(server.stats().route(Route::Chat).requests > 0, "conversations spread");
    }
    send("TERM", &running);
    running.end().with_code(0);
}

#[test]
fn other_addresses_need_keys() {
    let folder = folder();
    let refused = |arguments: &[&str], words: &[&str]| {
        Running::start(command(folder.path(), arguments)).end().refused(words);
    };
    refused(&["--host", "0.0.0.0"], &["--host", "--keys", "--insecure"]);
    refused(&["--keys", "none.txt"], &["none.txt", "cannot be read"]);
    refused(&["--presets", "{\"fast\": {\"depth\": 1}}"], &["--presets", "depth"]);
    refused(&["--presets", "{\"big\": {\"iterations\": 99}}"], &["--presets", "big", "at most 16"]);
    refused(&["--presets", "{\"bon-8\": {}}"], &["--presets", "no model yet", "bon-8"]);
    refused(&["--mode", "shuffled"], &["--mode", "shuffled"]);
    refused(&["--cors", "evil.example"], &["--cors", "https://app.example"]);
    refused(&["--max-in-flight", "0"], &["--max-in-flight", "of at least 1"]);
    refused(&["--data", "x.json"], &["--data"]);
    std::fs::write(folder.path().join("keys.txt"), "a b c-made-up").unwrap();
    refused(&["--keys", "keys.txt"], &["keys, line 1"]);
    for empty in ["", ",", " , "] {
        let mut command = command(folder.path(), &[]);
        command.env("TPO_SERVE_KEYS", empty);
        Running::start(command).end().refused(&["TPO_SERVE_KEYS", "found none"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_a_line_of_the_log_without_its_texts() {
    let folder = folder();
    let mut command = command(folder.path(), &["--insecure"]);
    command.env("TPO_LOG", "info");
    let (running, address) = start(command);
    let id = chat(&address, json!({"model": "bon-2"})).await.ok()["id"].take();
    chat(&address, json!({"model": "none"})).await.error(404);
    // A host of another machine, as --insecure allows.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = "GET /v1/models HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(end(stream).await.status, 200);
    send("TERM", &running);
    let log = running.end().with_code(0).err;
    let line = |word: &str| log.lines().find(|line| line.contains(word)).unwrap_or_default();
    let answered = line(id.as_str().unwrap());
    for part in ["status=200", "model=\"bon-2\"", "key=\"anonymous\"", "end=\"complete\"", " ms="] {
        assert!(answered.contains(part), "{part} is missing in: {log}");
    }
    assert!(line("model=\"none\"").contains("status=404"), "{log}");
    assert!(line("/v1/models").contains("status=200"), "{log}");
    assert!(!log.contains("wooden table"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_from_the_environment_and_are_shown_nowhere() {
    let folder = folder();
    let mut command = command(folder.path(), &["--max-per-key", "4"]);
    command.env("TPO_SERVE_KEYS", "made-up-1,b made-up-2").env("TPO_LOG", "trace");
    let (running, address) = start(command);
    chat(&address, json!({})).await.error(401);
    until("the server answers", async || {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer made-up-2\r\n\
                    connection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        end(stream).await.status == 200
    })
    .await;
    send("TERM", &running);
    let ended = running.end().with_code(0);
    assert!(!ended.err.contains("made-up"), "{}", ended.err);
}
