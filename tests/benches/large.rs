//! A run of 10,000 queries through the program's path: time, and memory as queries are finished.
//!
//! `cargo bench -p textgrad-tests --bench large`

#[path = "common/machine.rs"]
mod machine;
#[path = "common/memory.rs"]
mod memory;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use peak_alloc::PeakAlloc;
use textgrad_ops::sim::Sim;
use tpo::run::{ResultRecord, RunConfig, RunFolder};
use tpo::{Batch, Query, SimReward, Summary, Tpo};

/// Counts the bytes that are allocated, so that figures do not depend on what the system hands back when.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const QUERIES: usize = 10_000;
const CONCURRENCY: usize = 64;
/// Memory is looked at after so many finished queries.
const LOOKS: [usize; 4] = [1_000, 2_500, 5_000, 10_000];

/// MiB.
fn mib(bytes: usize) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// Writes a run as the program does: every step into a journal, every result into a file as soon as it is its
/// turn, nothing kept but the summary.
async fn run(folder: &Path, resume: bool) -> Result<(), Box<dyn Error>> {
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).build()?;
    let queries: Vec<Query> = (0..QUERIES)
        .map(|place| Query::from(format!("How do I take care of a wooden table, part {place}?")))
        .collect();
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let (begun, cpu) = (Instant::now(), ProcessTime::now());
    let config = RunConfig::new(&tpo, "large", &queries);
    let folder = match resume {
        true => RunFolder::resume(folder, &config).await?,
        false => RunFolder::create(folder, &config).await?,
    };
    let opened = begun.elapsed();
    let mut results = folder.results().await?;
    let mut summary = Summary::new(tpo.is_simulation());
    let batch = Batch::new(tpo, queries).concurrency(CONCURRENCY);
    let mut batch = batch.journal(folder.journal().clone());
    println!(
        "  {:>8} {:>12} {:>16} {:>14} {:>14}",
        "finished", "s", "allocated, MiB", "peak, MiB", "resident, MiB"
    );
    let mut finished = 0;
    while let Some(outcome) = batch.next().await {
        summary.add(&outcome);
        results.write(&ResultRecord::new(&outcome, true)).await?;
        drop(outcome);
        finished += 1;
        if LOOKS.contains(&finished) {
            println!(
                "  {finished:>8} {:>12.1} {:>16.1} {:>14.1} {:>14.1}",
                begun.elapsed().as_secs_f64(),
                mib(ALLOCATED.current_usage().saturating_sub(before)),
                mib(ALLOCATED.peak_usage().saturating_sub(before)),
                mib(memory::resident()),
            );
        }
    }
    results.finish().await?;
    let (wall, cpu) = (begun.elapsed(), cpu.elapsed());
    let summary = summary.finish(wall, CONCURRENCY);
    if summary.succeeded != QUERIES {
        return Err(format!("expected {QUERIES} results, got {}", summary.succeeded).into());
    }
    let per_query = |time: Duration| time.as_secs_f64() * 1e3 / QUERIES as f64;
    println!(
        "  {:.1} s wall ({:.2} ms a query), {:.1} s CPU ({:.2} ms), {:.1} s of it to open the folder",
        wall.as_secs_f64(),
        per_query(wall),
        cpu.as_secs_f64(),
        per_query(cpu),
        opened.as_secs_f64(),
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("10,000 queries, simulated, D2-N5, 64 at a time, with a run folder");
    let folder = std::env::temp_dir().join(format!("tpo-large-{}", std::process::id()));
    let done = async {
        println!("a run");
        run(&folder, false).await?;
        for file in ["journal.jsonl", "results.jsonl"] {
            let bytes = std::fs::metadata(folder.join(file))?.len();
            println!("  {file}: {:.1} KiB a query", bytes as f64 / 1024.0 / QUERIES as f64);
        }
        println!("the same resumed: everything is in its journal");
        // The thread that has the journal lets go of it when the last handle is gone.
        tokio::time::sleep(Duration::from_millis(200)).await;
        run(&folder, true).await
    };
    let done = done.await;
    std::fs::remove_dir_all(&folder)?;
    done
}
