//! `tpo serve` under load: wall time of concurrent streams, memory per request in flight, cost of pass-through.
//!
//! `cargo bench -p textgrad-tests --bench serve`, and with `-- --soak N` for N requests, among them clients that leave,
//! requests that are refused, and faults of the servers behind.
//!
//! The server is a process of its own with a fake policy that takes 50 ms and a fake reward model; in a soak, both are
//! a third process that fails in many ways. The clients share the machine with them.

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream;
use serde_json::{Value as Json, json};
use textgrad_core::{Choice, FinishReason, Purpose, Request, Response, engine_fn};
use textgrad_ops::engine::OpenAi;
use textgrad_ops::engine::http::JsonClient;
use textgrad_ops::layer::{EngineExt, Limits, RetryPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tpo::serve::{Server, Upstream};
use tpo::{CancellationToken, HttpReward, RewardApi, Tpo, reward_fn};

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
/// Set there too in a soak: the server behind is policy and reward model.
const SOAK: &str = "SERVE_BENCH_SOAK";
/// What goes wrong in a soak: primes, so that all meet all.
const FAULTS: [&str; 16] = [
    "429-ms=1@every:41",
    "500@every:43",
    "reset@every:47",
    "cut-off-body@every:53",
    "html-502@every:59",
    "not-json@every:61",
    "stall=100@every:67",
    "empty-choices@every:71",
    "null-content@every:73",
    "length@every:79",
    "400@every:83",
    "missing-tags@every:7",
    "nan-score@every:89,classify",
    "500@every:97,classify",
    "reset@every:101,classify",
    "cut-off-body@every:103,classify",
];

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
    let tpo = match std::env::var_os(SOAK) {
        None => Tpo::builder(Arc::new(policy), Arc::new(reward)),
        Some(_) => {
            let retry = RetryPolicy::default()
                .max_retries(1)
                .initial_backoff(Duration::from_millis(1))
                .max_backoff(Duration::from_millis(2));
            let policy = OpenAi::builder(upstream, "sim").build()?;
            let policy = policy.retry(retry.clone()).complete_choices();
            let url = upstream.trim_end_matches("/v1");
            let reward = HttpReward::builder(url, "sim", RewardApi::VllmClassify).retry(retry);
            Tpo::builder(Arc::new(policy), Arc::new(reward.build()?))
        }
    };
    let tpo = tpo.iterations(1).samples(2).build()?;
    let client = JsonClient::builder(upstream).build()?;
    let server = Server::builder(tpo)
        .max_in_flight(STREAMS)
        .max_queued(STREAMS)
        .recent(16)
        .upstream(Some(Upstream { clients: vec![client], model: "fake".to_owned() }))
        .build();
    let listener = Server::listen("127.0.0.1", 0).await?;
    println!("{}", listener.local_addr()?);
    // A line asks for the number of tasks.
    let metrics = tokio::runtime::Handle::current().metrics();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            println!("{}", metrics.num_alive_tasks());
        }
    });
    let never = CancellationToken::new();
    server.run(listener, never.clone(), never).await?;
    Ok(())
}

/// The server's process, ended when it is dropped.
struct Serving {
    child: Child,
    address: String,
    output: BufReader<ChildStdout>,
}

/// The end of a streamed request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum StreamEnd {
    Complete,
    /// An answer, though the search failed or was stopped.
    Partial,
    /// An error in the shape of the API.
    Error,
    /// None of these.
    Lost,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    fn start(upstream: &str, is_soak: bool) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        if is_soak {
            command.env(SOAK, "1");
        }
        let mut child =
            command.env(UPSTREAM, upstream).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        Ok(Self { child, address: line.trim().to_owned(), output })
    }

    /// Resident memory in KiB, and open descriptors.
    fn held(&self) -> (usize, usize) {
        let place = format!("/proc/{}", self.child.id());
        let statm = std::fs::read_to_string(format!("{place}/statm")).unwrap_or_default();
        let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
        let files = std::fs::read_dir(format!("{place}/fd")).map_or(0, Iterator::count);
        (pages.unwrap_or(0) * 4, files)
    }

    /// Tasks of its runtime.
    fn tasks(&mut self) -> std::io::Result<usize> {
        let mut line = String::new();
        if let Some(input) = &mut self.child.stdin {
            input.write_all(b"\n")?;
            self.output.read_line(&mut line)?;
        }
        line.trim().parse().map_err(std::io::Error::other)
    }

    /// One streamed search on a connection of its own.
    async fn stream(&self, question: usize) -> std::io::Result<StreamEnd> {
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
        let has = |words: &[u8]| reply.windows(words.len()).any(|window| window == words);
        Ok(match () {
            () if has(b"data: [DONE]") && has(b"\"complete\":true") => StreamEnd::Complete,
            () if has(b"data: [DONE]") => StreamEnd::Partial,
            () if has(b"\"error\":{") => StreamEnd::Error,
            () => StreamEnd::Lost,
        })
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
        let failed = answered.iter().filter(|end| **end != StreamEnd::Complete).count();
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

/// Many requests: every seventh client leaves, every eleventh request is refused, and the servers behind fail.
async fn soak(requests: usize) -> Result<(), Box<dyn Error>> {
    let faults = FAULTS.iter().flat_map(|fault| ["--fault", fault]);
    let arguments: Vec<&str> = ["--max-seconds", "7200"].into_iter().chain(faults).collect();
    let upstream = ServerProcess::start_with(&arguments)?;
    let mut serving = Serving::start(&format!("{}/v1", upstream.url()), true)?;
    let mut ends: BTreeMap<StreamEnd, usize> = BTreeMap::new();
    println!("{requests} requests, 500 at a time; faults behind: {}", FAULTS.join(" "));
    let begun = Instant::now();
    for tenth in 1..=10 {
        let numbers = requests * (tenth - 1) / 10..requests * tenth / 10;
        let here = &serving;
        let one = async |number: usize| -> std::io::Result<Option<StreamEnd>> {
            if number.is_multiple_of(7) {
                let left = timeout(Duration::from_millis(20), here.stream(number)).await;
                return left.map_or(Ok(None), |end| end.map(Some));
            }
            if number.is_multiple_of(11) {
                let mut socket = TcpStream::connect(&here.address).await?;
                socket
                    .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\r\n{")
                    .await?;
                socket.shutdown().await?;
                return Ok(None);
            }
            here.stream(number).await.map(Some)
        };
        let mut running = stream::iter(numbers).map(one).buffer_unordered(500);
        while let Some(outcome) = running.next().await {
            if let Some(end) = outcome? {
                *ends.entry(end).or_default() += 1;
            }
        }
        drop(running);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let ((memory, files), tasks) = (serving.held(), serving.tasks()?);
        let (done, seconds) = (requests * tenth / 10, begun.elapsed().as_secs_f64());
        println!(
            "  {done:>7} requests, {seconds:>6.1} s: {memory} KiB, {files} descriptors, {tasks} tasks; {ends:?}"
        );
    }
    match ends.get(&StreamEnd::Lost) {
        None => Ok(()),
        Some(lost) => Err(format!("{lost} requests had neither an answer nor an error").into()),
    }
}

async fn measure() -> Result<(), Box<dyn Error>> {
    machine::title("tpo serve");
    if let Some(requests) = soak_requests() {
        return soak(requests).await;
    }
    let upstream = ServerProcess::start()?;
    let serving = Serving::start(&format!("{}/v1", upstream.url()), false)?;
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
