//! Wall time of a batch of searches, against the least that any schedule could take.
//!
//! `cargo bench -p textgrad-tests --bench makespan`

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use textgrad_core::Engine;
use textgrad_ops::engine::layer::{Limits, Standard};
use textgrad_ops::engine::{EngineExt, OpenAi, Sim};
use textgrad_tests::fake_server::FakeServer;
use tpo::{Batch, SimReward, Tpo};

const LATENCY: Duration = Duration::from_millis(50);
const RUNS: usize = 5;

/// A batch: how many queries, how many of them at a time, how many calls at a time.
struct Setup {
    name: &'static str,
    queries: usize,
    concurrency: usize,
    calls_at_once: Option<u32>,
}

/// What a run took.
struct Run {
    wall: Duration,
    cpu: Duration,
    /// No schedule is shorter: the longest chain of calls, or all calls spread over what runs at a time.
    least: Duration,
}

async fn run(engine: Arc<dyn Engine>, setup: &Setup) -> Result<Run, Box<dyn Error>> {
    let tpo = Tpo::builder(engine, Arc::new(SimReward)).iterations(2).samples(5).build()?;
    let queries: Vec<String> = (0..setup.queries)
        .map(|place| format!("How do I take care of a wooden table, part {place}?"))
        .collect();
    let mut batch = Batch::new(tpo, queries).concurrency(setup.concurrency);
    let (mut requests, mut longest) = (0_u64, 0_u64);
    let (begun, cpu) = (Instant::now(), ProcessTime::now());
    while let Some(outcome) = batch.next().await {
        let of_query = outcome.result?.trajectory().usage.requests;
        requests += of_query;
        longest = longest.max(of_query);
    }
    let (wall, cpu) = (begun.elapsed(), cpu.elapsed());
    // The calls of one query follow each other, and so do queries that wait for their turn.
    let turns = setup.queries.div_ceil(setup.concurrency);
    let path = LATENCY.as_secs_f64() * longest as f64 * turns as f64;
    let at_once = setup.calls_at_once.map_or(setup.concurrency as f64, f64::from);
    let work = LATENCY.as_secs_f64() * requests as f64 / at_once;
    Ok(Run { wall, cpu, least: Duration::from_secs_f64(path.max(work)) })
}

fn print(setup: &Setup, runs: &[Run]) {
    let wall = figures::median(runs.iter().map(|run| run.wall.as_secs_f64()).collect());
    let cpu = figures::median(runs.iter().map(|run| run.cpu.as_secs_f64()).collect());
    let ratio = |run: &Run| run.wall.as_secs_f64() / run.least.as_secs_f64();
    let ratios: Vec<f64> = runs.iter().map(ratio).collect();
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let least = runs.first().map_or(f64::NAN, |run| run.least.as_secs_f64());
    println!(
        "{:<52} {wall:>6.3} s  {:>5.2} x the least possible {least:.2} s (worst run {worst:.2} x), CPU {cpu:.2} s",
        setup.name,
        figures::median(ratios),
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("batches of searches, simulated, D2-N5, 50 ms a call, median of 5 runs");
    let waiting = Sim::builder().latency(LATENCY).build()?;
    for setup in [
        Setup {
            name: "64 queries, 16 at a time",
            queries: 64,
            concurrency: 16,
            calls_at_once: None,
        },
        Setup {
            name: "64 queries, 64 at a time",
            queries: 64,
            concurrency: 64,
            calls_at_once: None,
        },
        Setup {
            name: "64 queries, 64 at a time, 16 calls at a time",
            queries: 64,
            concurrency: 64,
            calls_at_once: Some(16),
        },
    ] {
        let engine: Arc<dyn Engine> = match setup.calls_at_once {
            None => Arc::new(waiting.clone()),
            Some(most) => Arc::new(waiting.clone().limit(Limits::default().concurrency(most))),
        };
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(run(Arc::clone(&engine), &setup).await?);
        }
        print(&setup, &runs);
    }

    // The server shares the process: its CPU time is part of what is shown.
    let server = FakeServer::builder().engine(Sim::default()).latency(LATENCY).start().await?;
    let client = OpenAi::builder(server.base_url(), "fake").no_proxy().build()?;
    let client = client.standard(Standard::default());
    for setup in [
        Setup {
            name: "over HTTP: 16 queries, 16 at a time",
            queries: 16,
            concurrency: 16,
            calls_at_once: None,
        },
        Setup {
            name: "over HTTP: 100 queries, 64 at a time",
            queries: 100,
            concurrency: 64,
            calls_at_once: None,
        },
        Setup {
            name: "over HTTP: 100 queries, 100 at a time",
            queries: 100,
            concurrency: 100,
            calls_at_once: None,
        },
    ] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(run(Arc::clone(&client), &setup).await?);
        }
        print(&setup, &runs);
    }
    server.stop().await;
    Ok(())
}
