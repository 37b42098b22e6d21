//! Memory per search in flight, 1,000 at once, against the text that they must hold.
//!
//! `cargo bench -p textgrad-tests --bench memory`

#[path = "common/machine.rs"]
mod machine;
#[path = "common/memory.rs"]
mod memory;
#[path = "common/words.rs"]
mod words;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use peak_alloc::PeakAlloc;
use textgrad_core::{
    Choice, Engine, EngineError, EngineInfo, FinishReason, Purpose, Request, Response,
};
use tokio::sync::{Notify, Semaphore};
use tpo::{Batch, QueryOutcome, Tpo, reward_fn};

/// Counts the bytes that are allocated, so that figures do not depend on what the system hands back when.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const QUERIES: usize = 1_000;
const ANSWER_WORDS: usize = 300;

/// Where all searches are held up.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    FirstAnswers,
    LastLoss,
    LastGradient,
    LastUpdate,
}

/// Answers at once with texts of 300 words, up to a stage. There it holds every call until it is let go.
struct Gate {
    stage: Stage,
    drawn: AtomicUsize,
    /// Bytes of text that it wrote.
    written: AtomicUsize,
    /// Bytes of text in the requests that it holds.
    requested: AtomicUsize,
    held: AtomicUsize,
    all_held: Notify,
    open: Semaphore,
}

/// Marks a new version of an answer.
const SECOND: &str = "second version:";

impl Gate {
    fn new(stage: Stage) -> Self {
        Self {
            stage,
            drawn: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            requested: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            all_held: Notify::new(),
            open: Semaphore::new(0),
        }
    }

    fn is_there(&self, request: &Request, text: &str) -> bool {
        let stage = match request.purpose {
            Purpose::Sample => Stage::FirstAnswers,
            Purpose::Loss => Stage::LastLoss,
            Purpose::Gradient => Stage::LastGradient,
            _ => Stage::LastUpdate,
        };
        stage == self.stage && (stage == Stage::FirstAnswers || text.contains(SECOND))
    }

    fn answer(&self, purpose: Purpose) -> String {
        let seed = self.drawn.fetch_add(1, Ordering::Relaxed);
        let words = words::words(ANSWER_WORDS, seed);
        // The number keeps equal answers apart, for equal ones are scored once.
        match purpose {
            Purpose::Update => {
                format!("<IMPROVED_VARIABLE>\n{SECOND} {words} {seed}\n</IMPROVED_VARIABLE>")
            }
            _ => format!("{words} {seed}"),
        }
    }
}

#[async_trait]
impl Engine for Gate {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("gate");
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let there = {
            let text: String = request.messages.iter().map(|message| message.text()).collect();
            let there = self.is_there(request, &text);
            if there {
                self.requested.fetch_add(text.len(), Ordering::Relaxed);
            }
            there
        };
        if there {
            if self.held.fetch_add(1, Ordering::Relaxed) + 1 == QUERIES {
                self.all_held.notify_one();
            }
            // Never closed, so it can only be let go.
            if let Ok(permit) = self.open.acquire().await {
                permit.forget();
            }
        }
        let draws = 0..request.sampling.n;
        let texts = draws.map(|_| self.answer(request.purpose));
        let choices: Vec<Choice> =
            texts.map(|text| Choice::new(text, FinishReason::Stop)).collect();
        let written = choices.iter().map(|choice| choice.text.len()).sum();
        self.written.fetch_add(written, Ordering::Relaxed);
        Ok(Response::new(choices))
    }
}

/// KiB per query.
fn kib(bytes: usize) -> f64 {
    bytes as f64 / 1024.0 / QUERIES as f64
}

/// `fresh`: nothing was measured before, so that what is resident is this run's.
async fn measure(stage: Stage, fresh: bool) -> Result<(), Box<dyn Error>> {
    let gate = Arc::new(Gate::new(stage));
    // New versions are better, so that the second iteration rewrites one.
    let reward = reward_fn("second", |_: &str, answer: &str| {
        f64::from(u8::from(answer.contains(SECOND))) + answer.len() as f64 / 1e6
    });
    let tpo = Tpo::builder(Arc::clone(&gate) as Arc<dyn Engine>, Arc::new(reward)).build()?;
    let queries: Vec<String> =
        (0..QUERIES).map(|place| format!("{} {place}?", words::words(20, place))).collect();
    let queried: usize = queries.iter().map(String::len).sum();
    // What is made once is not paid per query.
    let (allocated, rss) = (ALLOCATED.current_usage(), memory::resident());

    let mut batch = Batch::new(tpo, queries).concurrency(QUERIES);
    let outcomes = tokio::spawn(async move {
        let mut outcomes: Vec<QueryOutcome> = Vec::new();
        while let Some(outcome) = batch.next().await {
            outcomes.push(outcome);
        }
        outcomes
    });
    tokio::time::timeout(Duration::from_secs(30), gate.all_held.notified())
        .await
        .map_err(|_| format!("not all searches came to {stage:?}"))?;
    let in_flight = ALLOCATED.current_usage().saturating_sub(allocated);
    let rss = fresh.then(|| memory::resident().saturating_sub(rss));
    let texts = queried + gate.written.load(Ordering::Relaxed);
    let request = gate.requested.load(Ordering::Relaxed);
    gate.open.add_permits(QUERIES * 8);
    let outcomes = outcomes.await?;
    if let Some(failed) = outcomes.iter().find_map(|outcome| outcome.result.as_ref().err()) {
        return Err(format!("{failed}: {}", failed.error).into());
    }
    let kept = ALLOCATED.current_usage().saturating_sub(allocated);
    let all_texts = queried + gate.written.load(Ordering::Relaxed);
    drop(outcomes);
    let left = ALLOCATED.current_usage().saturating_sub(allocated);
    println!("{stage:?}");
    println!(
        "  in flight     {:>6.1} KiB = {:.2} x the text it holds: {:.1} KiB of query and answers, {:.1} KiB of request",
        kib(in_flight),
        in_flight as f64 / (texts + request) as f64,
        kib(texts),
        kib(request),
    );
    if let Some(rss) = rss {
        println!("  resident      {:>6.1} KiB", kib(rss));
    }
    println!(
        "  outcome kept  {:>6.1} KiB = {:.2} x its text of {:.1} KiB; dropped: {:.1} KiB left",
        kib(kept),
        kept as f64 / all_texts as f64,
        kib(all_texts),
        kib(left),
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("memory per query with 1,000 in flight, D2-N5, answers of 300 words");
    measure(Stage::LastUpdate, true).await?;
    for stage in [Stage::FirstAnswers, Stage::LastLoss, Stage::LastGradient] {
        measure(stage, false).await?;
    }
    Ok(())
}
