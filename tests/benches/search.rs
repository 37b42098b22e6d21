//! Pools that grow: CPU time of a search by the number of its answers, and the exponent from size to size.
//!
//! `cargo bench -p textgrad-tests --bench search`

#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cpu_time::ProcessTime;
use textgrad_core::{
    Choice, Engine, EngineError, FinishReason, Purpose, Request, Response, engine_fn,
};
use tpo::search::SearchEvent;
use tpo::{CancellationToken, Mode, Tpo, reward_fn};

const SIZES: [u32; 4] = [1_250, 2_500, 5_000, 10_000];
/// Answers that are drawn at a time.
const SAMPLES: u32 = 50;
const ROUNDS: usize = 3;

/// Different answers at once.
fn instant() -> Arc<dyn Engine> {
    let drawn = Arc::new(AtomicU64::new(0));
    Arc::new(engine_fn("instant", move |request: Request| {
        let first = drawn.fetch_add(request.sampling.n.into(), Ordering::Relaxed);
        let text = |number: u64| match request.purpose {
            Purpose::Update => {
                format!("<IMPROVED_VARIABLE>\nanswer {number}\n</IMPROVED_VARIABLE>")
            }
            _ => format!("answer {number}"),
        };
        let choice = |number| Choice::new(text(first + u64::from(number)), FinishReason::Stop);
        let response = Response::new((0..request.sampling.n).map(choice).collect());
        async move { Ok::<_, EngineError>(response) }
    }))
}

/// The CPU time of a search with so many answers, each of which is reported as an event.
async fn search(mode: Mode, answers: u32) -> Result<Duration, Box<dyn Error>> {
    let reward = reward_fn("length", |_, answer: &str| answer.len() as f64);
    let tpo = Tpo::builder(instant(), Arc::new(reward))
        .mode(mode)
        .samples(SAMPLES)
        .iterations(answers / SAMPLES - 1)
        .build()?;
    let reported = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&reported);
    let observe = move |_: &SearchEvent<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let begun = ProcessTime::now();
    let aligned = tpo.align_observed(0, "Why?", observe, CancellationToken::new()).await?;
    let took = begun.elapsed();
    let (made, reported) = (aligned.pool().candidates().len(), reported.load(Ordering::Relaxed));
    if (made, reported) != (answers as usize, u64::from(answers)) {
        return Err(format!("expected {answers} answers and events, got {made}, {reported}").into());
    }
    Ok(took)
}

fn main() -> Result<(), Box<dyn Error>> {
    machine::title("Searches by the number of their answers");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    println!("\n{SAMPLES} answers in each iteration; the least of {ROUNDS} rounds");
    println!(
        "{:<12} {:>8} {:>10} {:>14} {:>10}",
        "mode", "answers", "CPU, ms", "us per answer", "exponent"
    );
    for mode in [Mode::Resample, Mode::Tpo, Mode::Fuse] {
        let mut last: Option<f64> = None;
        for answers in SIZES {
            let mut least = Duration::MAX;
            for _ in 0..ROUNDS {
                least = least.min(runtime.block_on(search(mode, answers))?);
            }
            let seconds = least.as_secs_f64();
            let exponent =
                last.map_or("-".to_owned(), |last| format!("{:.2}", (seconds / last).log2()));
            println!(
                "{:<12} {answers:>8} {:>10.1} {:>14.1} {exponent:>10}",
                mode.as_str(),
                1e3 * seconds,
                1e6 * seconds / f64::from(answers)
            );
            last = Some(seconds);
        }
    }
    Ok(())
}
