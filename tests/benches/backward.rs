//! Wall time of passes whose calls wait, against their critical path; and what the settings of a pass cost, where calls
//! answer at once.
//!
//! `cargo bench -p textgrad-tests --bench backward`

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use textgrad_core::{
    Backward, Choice, Engine, FinishReason, Parameter, Response, Variable, backward, engine_fn,
};
use textgrad_ops::{LlmCall, TextLoss, sum};

const LATENCY: Duration = Duration::from_millis(50);
const WIDTH: usize = 64;
const RUNS: usize = 7;

/// How many calls were made, and how many at the same time.
#[derive(Default)]
struct Calls {
    made: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Calls {
    /// The counts since the last time.
    fn take(&self) -> (usize, usize) {
        (self.made.swap(0, Ordering::Relaxed), self.most.swap(0, Ordering::Relaxed))
    }
}

/// Answers after a while.
fn slow(calls: &Arc<Calls>) -> Arc<dyn Engine> {
    let calls = Arc::clone(calls);
    Arc::new(engine_fn("slow", move |_| {
        let calls = Arc::clone(&calls);
        async move {
            calls.made.fetch_add(1, Ordering::Relaxed);
            let now = calls.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            calls.most.fetch_max(now, Ordering::Relaxed);
            tokio::time::sleep(LATENCY).await;
            calls.under_way.fetch_sub(1, Ordering::Relaxed);
            Ok(Response::new(vec![Choice::new("Say why.", FinishReason::Stop)]))
        }
    }))
}

/// The times of one kind of pass.
#[derive(Default)]
struct Row {
    times: Vec<f64>,
    counts: (usize, usize),
}

impl Row {
    fn add(&mut self, took: Duration, calls: &Calls) {
        self.times.push(took.as_secs_f64());
        self.counts = calls.take();
    }

    fn print(self, name: &str, depth: u32) {
        let path = (LATENCY * depth).as_secs_f64();
        let worst = self.times.iter().copied().fold(0.0, f64::max);
        let (made, most) = self.counts;
        let middle = figures::median(self.times);
        println!(
            "{name:<44} {:>8.1} ms  {:>5.2} x the critical path of {:.0} ms (worst run {:.2} x), {made} calls, \
             {most} at once",
            middle * 1e3,
            middle / path,
            path * 1e3,
            worst / path,
        );
    }
}

/// 64 independent texts, each with a loss of its own, summed.
async fn independent(calls: &Arc<Calls>, rows: &mut [Row; 2]) -> Result<(), Box<dyn Error>> {
    let loss = TextLoss::new(slow(calls), "What is wrong with this solution?");
    let texts: Vec<Parameter> = (0..WIDTH)
        .map(|place| Parameter::new(format!("{place} + 2 = 5"), "solution of a problem"))
        .collect();

    let [forward, back] = rows;
    let begun = Instant::now();
    let leaves: Vec<Variable> = texts.iter().map(Parameter::variable).collect();
    let losses = try_join_all(leaves.iter().map(|text| loss.evaluate(text))).await?;
    let total = sum(&losses).await?;
    forward.add(begun.elapsed(), calls);

    let begun = Instant::now();
    let gradients = backward(&total).await?;
    back.add(begun.elapsed(), calls);
    let reached = leaves.iter().filter(|leaf| gradients.text(leaf) == "Say why.").count();
    all(reached, WIDTH)
}

/// A minibatch: one system prompt, 64 questions, a loss of each answer, summed.
async fn minibatch(calls: &Arc<Calls>, rows: &mut [Row; 2]) -> Result<(), Box<dyn Error>> {
    let engine = slow(calls);
    let llm = LlmCall::builder(Arc::clone(&engine)).build();
    let loss = TextLoss::new(engine, "Is this answer right?");
    let prompt = Parameter::new("Think first.", "system prompt");
    let questions: Vec<Variable> = (0..WIDTH)
        .map(|place| Variable::constant(format!("What is {place} + 2?"), "question"))
        .collect();

    let [forward, back] = rows;
    let begun = Instant::now();
    let system = prompt.variable();
    let losses = try_join_all(questions.iter().map(async |question| {
        let answer = llm.ask(question).system(&system).one().await?;
        loss.evaluate(&answer).await
    }))
    .await?;
    let total = sum(&losses).await?;
    forward.add(begun.elapsed(), calls);

    let begun = Instant::now();
    let gradients = backward(&total).await?;
    back.add(begun.elapsed(), calls);
    all(gradients.feedback(&system).count(), WIDTH)
}

/// A figure for less than the whole work would be a wrong one.
fn all(found: usize, expected: usize) -> Result<(), Box<dyn Error>> {
    if found == expected {
        return Ok(());
    }
    Err(format!("expected feedback from {expected} losses, got it from {found}").into())
}

/// How many calls the graph of [`settings`] has beside one loss.
const CHAIN: usize = 2_000;

/// What `wrt` and `create_graph` cost, as ratios to a pass without them over the same graph. All of them ask about the
/// same texts.
async fn settings(calls: &Arc<Calls>) -> Result<(), Box<dyn Error>> {
    let counted = Arc::clone(calls);
    let engine: Arc<dyn Engine> = Arc::new(engine_fn("at once", move |_| {
        counted.made.fetch_add(1, Ordering::Relaxed);
        async { Ok(Response::new(vec![Choice::new("Say why.", FinishReason::Stop)])) }
    }));
    let llm = LlmCall::builder(Arc::clone(&engine)).build();
    let prompt = Parameter::new("Think first.", "system prompt");
    let system = prompt.variable();
    let question = Variable::constant("What is 2 + 2?", "question");
    let mut answers = Vec::new();
    for _ in 0..CHAIN {
        answers.push(llm.ask(&question).system(&system).one().await?);
    }
    let total = sum(&answers).await?;
    let root = TextLoss::new(engine, "Is this answer right?").evaluate(&total).await?;
    calls.take();

    let pass = || Backward::new(&root);
    let kinds = ["neither", "wrt", "create_graph", "both"];
    let mut times: [Vec<f64>; 4] = Default::default();
    for run in 0..RUNS * 3 {
        let passes = [
            pass(),
            pass().wrt([&system]),
            pass().create_graph(true),
            pass().wrt([&system]).create_graph(true),
        ];
        for (times, pass) in times.iter_mut().zip(passes) {
            let begun = Instant::now();
            let gradients = pass.run().await?;
            let took = begun.elapsed().as_secs_f64();
            all(gradients.received(&system).len(), CHAIN)?;
            all(calls.take().0, CHAIN + 1)?;
            // The first passes warm the machine up.
            if run >= RUNS {
                times.push(took);
            }
        }
    }
    let middles = times.map(figures::median);
    let [neither, ..] = middles;
    for (kind, middle) in kinds.iter().zip(middles) {
        println!(
            "{:<44} {:>8.1} ms  {:>5.2} x a pass with neither, {} calls each",
            format!("{CHAIN} calls that answer at once: {kind}"),
            middle * 1e3,
            middle / neither,
            CHAIN + 1,
        );
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("passes over 64 losses, 50 ms a call, median of 7 runs");
    let calls = Arc::default();
    let (mut alone, mut batch) = (<[Row; 2]>::default(), <[Row; 2]>::default());
    for _ in 0..RUNS {
        independent(&calls, &mut alone).await?;
        minibatch(&calls, &mut batch).await?;
    }
    let [forward, back] = alone;
    forward.print("64 independent losses, forward", 1);
    back.print("64 independent losses, backward", 1);
    let [forward, back] = batch;
    forward.print("minibatch of 64, answers and losses forward", 2);
    back.print("minibatch of 64, backward", 2);
    settings(&calls).await
}
