//! `tpo serve` under load: wall time of concurrent streams, memory per request in flight, cost of pass-through.
//!
//! `cargo bench -p textgrad-tests --bench serve`, and with `-- --soak N` for N requests, with clients that leave and
//! requests that are refused among them.
//!
//! The server is a process of its own with a fake policy that takes 50 ms and a fake reward model. The clients share
//! the machine with it.

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/server.rs"]
mod server;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream;
use serde_json::{Value as Json, json};
use textgrad_core::{Choice, FinishReason, Purpose, Request, Response, engine_fn};
use textgrad_ops::engine::http::JsonClient;
use textgrad_ops::layer::{EngineExt, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tpo::serve::{Server, Upstream};
use tpo::{CancellationToken, Tpo, reward_fn};

use self::server::ServerProcess;

/// That of the program.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LATENCY: Duration = Duration::from_millis(50);
const STREAMS: usize = 1000;
/// How long a server is idle until its memory is looked at: the allocator gives pages back over ten seconds.
const IDLE: Duration = Duration::from_secs(15);
/// Calls that the policy takes at a time.
const CALLS_AT_ONCE: u32 = 256;
/// Calls of a search of one iteration, one after the other.
const CALLS: u32 = 4;
/// Set in the process of the server, to the address of the server for pass-through.
const UPSTREAM: &str = "SERVE_BENCH_UPSTREAM";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match std::env::var(UPSTREAM) {
        Ok(upstream) => runtime.block_on(serve(&upstream)),
        Err(_) => runtime.block_on(measure()),
    }
}

/// The server's process.
async fn serve(upstream: &str) -> Result<(), Box<dyn Error>> {
    let policy = engine_fn("fake", |request: Request| async move {
        tokio::time::sleep(LATENCY).await;
        let answer = |index: u32| {
            let text = match request.purpose {
                Purpose::Update => format!("<IMPROVED_VARIABLE>answer {index}</IMPROVED_VARIABLE>"),
                _ => format!("answer {index}, which is long enough to say something about wood"),
            };
            Choice::new(text, FinishReason::Stop)
        };
        Ok(Response::new((0..request.sampling.n).map(answer).collect()))
    });
    let policy = policy.limit(Limits::default().concurrency(CALLS_AT_ONCE));
    let reward = reward_fn("length", |_, answer: &str| answer.len() as f64);
    let tpo = Tpo::builder(Arc::new(policy), Arc::new(reward)).iterations(1).samples(2).build()?;
    let client = JsonClient::builder(upstream).build()?;
    let server = Server::builder(tpo)
        .max_in_flight(STREAMS)
        .max_queued(STREAMS)
        .recent(16)
        .upstream(Some(Upstream { clients: vec![client], model: "fake".to_owned() }))
        .build();
    let listener = Server::listen("127.0.0.1", 0).await?;
    println!("{}", listener.local_addr()?);
    let never = CancellationToken::new();
    server.run(listener, never.clone(), never).await;
    Ok(())
}

/// The server's process, ended when it is dropped.
struct Serving {
    child: Child,
    address: String,
    _output: BufReader<std::process::ChildStdout>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    fn start(upstream: &str) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(UPSTREAM, upstream)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(Self { child, address: line.trim().to_owned(), _output: output })
    }

    /// Resident memory in KiB, and open descriptors.
    fn held(&self) -> (usize, usize) {
        let place = format!("/proc/{}", self.child.id());
        let statm = std::fs::read_to_string(format!("{place}/statm")).unwrap_or_default();
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
        let files = std::fs::read_dir(format!("{place}/fd")).map_or(0, Iterator::count);
        (pages.unwrap_or(0) * 4, files)
    }

    /// One streamed search on a connection of its own. Returns whether it was answered.
    async fn stream(&self, question: usize) -> std::io::Result<bool> {
        let body = json!({
            "model": "tpo", "stream": true,
            "messages": [{"role": "user", "content": format!("Why does wood {question} float?")}],
        });
        let body = body.to_string();
        let mut socket = TcpStream::connect(&self.address).await?;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).await?;
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply).await?;
        Ok(reply.windows(12).any(|window| window == b"data: [DONE]"))
    }

    /// Many streams at a time. Returns the wall time, the most memory and the most descriptors on the way.
    async fn load(&self, streams: usize) -> Result<(f64, usize, usize), Box<dyn Error>> {
        let begun = Instant::now();
        let (mut memory, mut files) = (0, 0);
        let all = try_join_all((0..streams).map(|question| self.stream(question)));
        tokio::pin!(all);
        let answered = loop {
            tokio::select! {
                answered = &mut all => break answered?,
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    let held = self.held();
                    (memory, files) = (memory.max(held.0), files.max(held.1));
                }
            }
        };
        let failed = answered.iter().filter(|answered| !**answered).count();
        match failed {
            0 => Ok((begun.elapsed().as_secs_f64(), memory, files)),
            failed => Err(format!("{failed} of {streams} streams were not answered").into()),
        }
    }
}

/// The number behind `--soak`.
fn soak_requests() -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--soak").skip(1);
    arguments.next()?.parse().ok()
}

/// Many requests: every seventh client leaves, every eleventh request is refused.
async fn soak(serving: &Serving, requests: usize) -> Result<(), Box<dyn Error>> {
    let one = async |number: usize| -> std::io::Result<()> {
        if number.is_multiple_of(7) {
            let left = timeout(Duration::from_millis(20), serving.stream(number)).await;
            return left.unwrap_or(Ok(true)).map(|_| ());
        }
        if number.is_multiple_of(11) {
            let mut socket = TcpStream::connect(&serving.address).await?;
            socket
                .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\r\n{")
                .await?;
            return socket.shutdown().await;
        }
        match serving.stream(number).await? {
            true => Ok(()),
            false => Err(std::io::Error::other(format!("request {number} was not answered"))),
        }
    };
    println!("{requests} requests, 500 at a time");
    let begun = Instant::now();
    for tenth in 1..=10 {
        let numbers = requests * (tenth - 1) / 10..requests * tenth / 10;
        let mut running = stream::iter(numbers).map(one).buffer_unordered(500);
        while let Some(outcome) = running.next().await {
            outcome?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (memory, files) = serving.held();
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "  {:>7} requests, {seconds:>6.1} s: {memory} KiB, {files} descriptors",
            requests * tenth / 10
        );
    }
    Ok(())
}

async fn measure() -> Result<(), Box<dyn Error>> {
    machine::title("tpo serve");
    let upstream = ServerProcess::start()?;
    let serving = Serving::start(&format!("{}/v1", upstream.url()))?;
    if let Some(requests) = soak_requests() {
        return soak(&serving, requests).await;
    }
    serving.load(32).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (before, files_before) = serving.held();

    let path = LATENCY.as_secs_f64() * f64::from(CALLS);
    let work = path * STREAMS as f64 / f64::from(CALLS_AT_ONCE);
    println!(
        "{STREAMS} concurrent streams, {CALLS} calls of 50 ms each, {CALLS_AT_ONCE} calls at a time"
    );
    let (mut walls, mut peak, mut files_peak) = (Vec::new(), 0, 0);
    for _ in 0..5 {
        let (wall, memory, files) = serving.load(STREAMS).await?;
        walls.push(wall);
        (peak, files_peak) = (peak.max(memory), files_peak.max(files));
    }
    tokio::time::sleep(IDLE).await;
    let (after, files_after) = serving.held();
    let wall = figures::median(walls);
    let bound = path.max(work);
    println!("  wall {wall:.2} s, {:.2} x of the bound {bound:.2} s", wall / bound);
    let each = peak.saturating_sub(before) as f64 / STREAMS as f64;
    println!(
        "  memory {before} KiB idle, {peak} KiB at the most ({each:.0} KiB each), {after} KiB idle again"
    );
    println!(
        "  descriptors {files_before} idle, {files_peak} at the most, {files_after} idle again"
    );

    let body = json!({
        "model": "policy", "messages": [{"role": "user", "content": "Why does wood float?"}],
    });
    // Fails where it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async |url: String| -> Result<f64, Box<dyn Error>> {
        let begun = Instant::now();
        let reply = client.post(&url).json(&body).send().await?.error_for_status()?;
        let _: Json = reply.json().await?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    let (mut direct, mut passed) = (Vec::new(), Vec::new());
    for _ in 0..500 {
        direct.push(ask(format!("{}/v1/chat/completions", upstream.url())).await?);
        passed.push(ask(format!("http://{}/v1/chat/completions", serving.address)).await?);
    }
    let (direct, passed) = (figures::median(direct), figures::median(passed));
    println!(
        "  pass-through: {passed:.2} ms at the median, {direct:.2} ms without, {:.2} ms more",
        passed - direct
    );
    Ok(())
}
