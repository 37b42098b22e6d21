//! Wall time of a batch of searches in this process, against the least that any schedule could take. The benchmark
//! `program` measures the program over HTTP.
//!
//! `cargo bench -p textgrad-tests --bench makespan`

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/words.rs"]
mod words;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cpu_time::ProcessTime;
use textgrad_core::{
    Choice, Engine, EngineError, EngineInfo, FinishReason, Purpose, Request, Response,
};
use textgrad_ops::layer::{EngineExt, Limits};
use tpo::{Batch, RewardModel, Tpo, reward_fn};

const LATENCY: Duration = Duration::from_millis(50);
const SAMPLES: u32 = 5;
const RUNS: usize = 5;

/// A batch: how many queries, how many of them at a time, how many calls at a time.
struct Setup {
    queries: usize,
    concurrency: usize,
    calls_at_once: Option<u32>,
    /// Whether a call gives one answer only, so that the answers of a query are asked for side by side.
    single: bool,
}

impl Setup {
    const fn new(queries: usize, concurrency: usize) -> Self {
        Self { queries, concurrency, calls_at_once: None, single: false }
    }

    const fn calls(mut self, at_once: u32) -> Self {
        self.calls_at_once = Some(at_once);
        self
    }

    const fn single(mut self) -> Self {
        self.single = true;
        self
    }

    fn name(&self) -> String {
        let mut name = format!("{} queries, {} at a time", self.queries, self.concurrency);
        if let Some(calls) = self.calls_at_once {
            name.push_str(&format!(", {calls} calls at once"));
        }
        if self.single {
            name.push_str(", 1 answer a call");
        }
        name
    }
}

/// A model elsewhere: 50 ms a call, and none of this machine's time. Answers of 100 words.
struct Elsewhere {
    words: String,
    drawn: AtomicUsize,
}

#[async_trait]
impl Engine for Elsewhere {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("elsewhere");
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        tokio::time::sleep(LATENCY).await;
        let answers = (0..request.sampling.n).map(|_| {
            let number = self.drawn.fetch_add(1, Ordering::Relaxed);
            // The number keeps equal answers apart, for equal ones are scored once.
            let text = match request.purpose {
                Purpose::Update => {
                    format!("<IMPROVED_VARIABLE>\n{} {number}\n</IMPROVED_VARIABLE>", self.words)
                }
                _ => format!("{} {number}", self.words),
            };
            Choice::new(text, FinishReason::Stop)
        });
        Ok(Response::new(answers.collect()))
    }
}

/// The later it was written, the better.
fn latest() -> impl RewardModel {
    reward_fn("latest", |_: &str, answer: &str| {
        let number = answer.rsplit(' ').next().and_then(|number| number.parse().ok());
        number.unwrap_or_default()
    })
}

/// Counts the calls of an engine, and how many there were at once.
#[derive(Clone)]
struct Gauge(Arc<Counted>);

struct Counted {
    engine: Arc<dyn Engine>,
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn new(engine: Arc<dyn Engine>) -> Self {
        let (calls, now, most) = Default::default();
        Self(Arc::new(Counted { engine, calls, now, most }))
    }
}

#[async_trait]
impl Engine for Gauge {
    fn info(&self) -> &EngineInfo {
        self.0.engine.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let now = self.0.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(now, Ordering::Relaxed);
        let answer = self.0.engine.complete(request).await;
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        answer
    }
}

/// What a run took.
struct Run {
    wall: Duration,
    cpu: Duration,
    /// The longest chain of calls that wait for each other.
    path: f64,
    /// All calls, spread over as many as may run at a time.
    work: f64,
    most: usize,
}

impl Run {
    /// No schedule is shorter.
    fn least(&self) -> f64 {
        self.path.max(self.work)
    }
}

async fn run(engine: Arc<dyn Engine>, setup: &Setup) -> Result<Run, Box<dyn Error>> {
    let gauge = Gauge::new(engine);
    let limits = setup.calls_at_once.map(|most| Limits::default().concurrency(most));
    let limited: Arc<dyn Engine> = match limits {
        Some(limits) => Arc::new(gauge.clone().limit(limits)),
        None => Arc::new(gauge.clone()),
    };
    let engine: Arc<dyn Engine> = match setup.single {
        true => Arc::new(limited.complete_choices().always_single()),
        false => limited,
    };
    let tpo = Tpo::builder(engine, Arc::new(latest())).iterations(2).samples(SAMPLES).build()?;
    let queries: Vec<String> = (0..setup.queries)
        .map(|place| format!("How do I take care of a wooden table, part {place}?"))
        .collect();
    let mut batch = Batch::new(tpo, queries).concurrency(setup.concurrency);
    let mut longest = 0_u64;
    let (begun, cpu) = (Instant::now(), ProcessTime::now());
    while let Some(outcome) = batch.next().await {
        longest = longest.max(outcome.result?.trajectory().usage.requests);
    }
    let (wall, cpu) = (begun.elapsed(), cpu.elapsed());
    // The requests of one query follow each other, and so do queries that wait for their turn. The calls that
    // the answers to one request take do not.
    let turns = setup.queries.div_ceil(setup.concurrency);
    let path = LATENCY.as_secs_f64() * longest as f64 * turns as f64;
    let wide = if setup.single { SAMPLES as usize } else { 1 };
    let at_once = setup.calls_at_once.map_or(setup.concurrency * wide, |most| most as usize);
    let calls = gauge.0.calls.load(Ordering::Relaxed);
    let work = LATENCY.as_secs_f64() * calls as f64 / at_once as f64;
    Ok(Run { wall, cpu, path, work, most: gauge.0.most.load(Ordering::Relaxed) })
}

fn print(setup: &Setup, runs: &[Run]) {
    let median = |of: fn(&Run) -> f64| figures::median(runs.iter().map(of).collect());
    let ratios = || runs.iter().map(|run| run.wall.as_secs_f64() / run.least());
    let (path, work) = runs.first().map_or((f64::NAN, f64::NAN), |run| (run.path, run.work));
    println!(
        "{:<62} {:>6.3} s = {:.2} x the least (worst run {:.2} x) of path {path:.2} s, work {work:.2} s; {:>3} at once, CPU {:.2} s",
        setup.name(),
        median(|run| run.wall.as_secs_f64()),
        figures::median(ratios().collect()),
        ratios().fold(0.0, f64::max),
        runs.iter().map(|run| run.most).max().unwrap_or_default(),
        median(|run| run.cpu.as_secs_f64()),
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("batches of searches, D2-N5, 50 ms a call, median of 5 runs");
    let (words, drawn) = (words::words(100, 1), AtomicUsize::new(0));
    let waiting: Arc<dyn Engine> = Arc::new(Elsewhere { words, drawn });
    for setup in [
        Setup::new(64, 16),
        Setup::new(64, 64),
        Setup::new(64, 448),
        Setup::new(64, 64).calls(16),
        Setup::new(64, 64).calls(64),
        Setup::new(64, 64).calls(448),
        Setup::new(64, 64).calls(16).single(),
        Setup::new(64, 64).calls(64).single(),
        Setup::new(64, 64).calls(448).single(),
    ] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(run(Arc::clone(&waiting), &setup).await?);
        }
        print(&setup, &runs);
    }
    Ok(())
}
