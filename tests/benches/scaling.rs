//! Growth of the time of operations: each size is doubled, and the exponent is printed. 1 is linear, 2 quadratic.
//!
//! `cargo bench -p textgrad-tests --bench scaling`

#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use textgrad_core::{
    BackwardCx, Context, Deduplicate, Feedback, Gradient, Graph, Inputs, Op, Output, Parameter,
    Variable, apply_one, backward, op_fn,
};
use textgrad_ops::sim::Sim;
use textgrad_ops::{aggregate, sum};
use tpo::journal::Journal;
use tpo::report::{Bootstrap, Report, ReportConfig};
use tpo::run::{RecordedRun, Run, RunConfig};
use tpo::study::{Grid, StudyFolder, StudyTable};
use tpo::{Candidate, Mode, Pool, Query, SimReward, Tpo, TpoConfig};

const RUNS: usize = 3;
/// How often a size is doubled.
const DOUBLINGS: u32 = 2;

type Failure = Box<dyn Error>;

/// A call that uses a variable and says something about it.
fn used() -> Arc<dyn Op> {
    let op = op_fn("use", |_: Inputs| async { Ok(vec![Output::new("text", "use of a text")]) });
    let says = |_: BackwardCx| async { Ok(vec![Some(Feedback::new("Shorten it.").into())]) };
    Arc::new(op.with_backward(says))
}

/// A loss over many uses of one variable.
async fn fan_in(uses: usize) -> Result<(Variable, Variable), Failure> {
    let (op, parameter) = (used(), Parameter::new("text", "shared text").variable());
    let mut ends = Vec::with_capacity(uses);
    for _ in 0..uses {
        ends.push(apply_one(Arc::clone(&op), [("text", &parameter)]).await?);
    }
    Ok((sum(&ends).await?, parameter))
}

/// Times a function after its preparation.
fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(work());
    begun.elapsed()
}

async fn pass(uses: usize) -> Result<Duration, Failure> {
    let (end, _) = fan_in(uses).await?;
    let begun = Instant::now();
    black_box(backward(&end).await?);
    Ok(begun.elapsed())
}

#[derive(Clone, Copy)]
enum Form {
    Json,
    Dot,
    Page,
}

async fn drawn(uses: usize, form: Form) -> Result<Duration, Failure> {
    let (end, _) = fan_in(uses).await?;
    let (gradients, graph) = (backward(&end).await?, Graph::trace(&end));
    let view = graph.view().gradients(&gradients);
    Ok(timed(|| match form {
        Form::Json => view.to_json().to_string(),
        Form::Dot => view.to_dot(),
        Form::Page => view.to_html(),
    }))
}

/// Feedback of many calls, each with its context.
async fn feedback(count: usize) -> Result<Vec<Gradient>, Failure> {
    let (op, parameter) = (used(), Parameter::new("text", "shared text").variable());
    let mut all = Vec::with_capacity(count);
    for i in 0..count {
        let output = apply_one(Arc::clone(&op), [("text", &parameter)]).await?;
        let context = Context::of(output).ok_or("an output without a call")?;
        all.push(Feedback::new(format!("Point {i}.")).with_context(context).into());
    }
    Ok(all)
}

async fn join(count: usize) -> Result<Duration, Failure> {
    let all = feedback(count).await?;
    Ok(timed(|| Gradient::join(&all)))
}

async fn contexts(count: usize) -> Result<Duration, Failure> {
    let all = feedback(count).await?;
    let contexts = all.iter().filter_map(Gradient::feedback).flat_map(Feedback::contexts).cloned();
    let contexts: Vec<Arc<Context>> = contexts.collect();
    Ok(timed(|| Feedback::new("All.").with_contexts(contexts)))
}

/// Aggregates of aggregates, each over the one before and over one more use of a text.
async fn nested(depth: usize) -> Result<Duration, Failure> {
    let (op, parameter) = (used(), Parameter::new("text", "shared text").variable());
    let mut end = apply_one(Arc::clone(&op), [("text", &parameter)]).await?;
    for _ in 0..depth {
        let other = apply_one(Arc::clone(&op), [("text", &parameter)]).await?;
        end = aggregate(&[end, other], Arc::new(Deduplicate)).await?;
    }
    let begun = Instant::now();
    black_box(backward(&end).await?);
    Ok(begun.elapsed())
}

/// A journal of so many queries, opened again.
async fn journal(queries: usize) -> Result<Duration, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    let config = serde_json::json!({});
    drop(Journal::create(&path, config.clone()).await?);
    let mut lines = std::fs::read_to_string(&path)?;
    for query in 0..queries {
        for score in 0..8 {
            let record = serde_json::json!({
                "type": "score", "query": query, "key": format!("{query}-{score}"), "score": 0.5, "ms": 1,
            });
            lines.push_str(&textgrad_ops::util::jsonl::line_with_checksum(&record)?);
        }
    }
    std::fs::write(&path, lines)?;
    let begun = Instant::now();
    let journal = Journal::resume(&path, config).await?;
    let took = begun.elapsed();
    if journal.known_steps() != queries * 8 {
        return Err(format!("expected {} steps, got {}", queries * 8, journal.known_steps()).into());
    }
    Ok(took)
}

/// A pool that answers are added to, looked up in and selected from.
fn pool(answers: usize) -> Result<Duration, Failure> {
    let candidates = (0..answers).map(|i| Candidate {
        answer: Variable::constant(format!("answer {i}"), "answer"),
        // In an order without a pattern.
        score: (i * 7919 % answers) as f64,
        iteration: u32::try_from(i / 5).unwrap_or(u32::MAX),
    });
    let candidates: Vec<Candidate> = candidates.collect();
    let begun = Instant::now();
    let mut pool = Pool::default();
    for candidate in candidates {
        let is_new = pool.score_of(candidate.text()).is_none();
        pool.push(candidate)?;
        black_box((is_new, pool.best()));
    }
    black_box((pool.ranked(), pool.worst(), pool.newest()));
    Ok(begun.elapsed())
}

fn queries(count: usize) -> Vec<Query> {
    let queries = (0..count).map(|i| format!("How do I look after a wooden table, part {i}?"));
    queries.map(Query::from).collect()
}

fn simulated(config: TpoConfig) -> Result<Tpo, tpo::Error> {
    Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).config(config).build()
}

/// A report over a simulated run.
async fn report(count: usize) -> Result<Duration, Failure> {
    let folder = tempfile::tempdir()?;
    let tpo = simulated(TpoConfig { iterations: 1, samples: 2, ..TpoConfig::default() })?;
    let run = Run::new(tpo, queries(count)).create(folder.path());
    if run.execute(&mut ()).await?.summary.succeeded != count {
        return Err("not all queries have a result".into());
    }
    let run = [RecordedRun::open(folder.path())?];
    let begun = Instant::now();
    let report = Report::read(&run, &ReportConfig::default())?;
    report.write(&folder.path().join("report"))?;
    Ok(begun.elapsed())
}

/// The table of a simulated study with so many cells, one for each seed.
async fn study(cells: usize) -> Result<Duration, Failure> {
    let folder = tempfile::tempdir()?;
    let seeds = (0..cells as u64).collect();
    let grid = Grid { modes: vec![Mode::Bon], samples: vec![2], seeds, ..Grid::default() };
    // Best-of-N also runs with the answers that iterations would take.
    let grid = Grid { iterations: vec![0], ..grid };
    let (base, queries) = (simulated(TpoConfig::default())?, queries(8));
    let config = RunConfig::new(&base, "memory", &queries);
    let study = StudyFolder::create(&folder.path().join("study"), &grid, &config)?;
    let made = grid.cells()?;
    if made.len() != cells {
        return Err(format!("expected {cells} cells, got {}", made.len()).into());
    }
    for cell in &made {
        let tpo = simulated(cell.config(base.config()))?;
        study.begin(cell, Run::new(tpo, queries.clone())).execute(&mut ()).await?;
    }
    let begun = Instant::now();
    black_box(StudyTable::read(&study, &Bootstrap::default())?.to_csv()?);
    Ok(begun.elapsed())
}

/// One line: the time of each size, and the exponent between the last two.
async fn row<F, Fut>(name: &str, largest: usize, work: F) -> Result<(), Failure>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<Duration, Failure>>,
{
    print!("{name:<34}");
    let mut times = Vec::new();
    for doubling in (0..=DOUBLINGS).rev() {
        let size = largest >> doubling;
        let mut best = Duration::MAX;
        for _ in 0..RUNS {
            best = best.min(work(size).await?);
        }
        print!(" {size:>7}: {:>8.2} ms", best.as_secs_f64() * 1e3);
        times.push(best.as_secs_f64());
    }
    let exponent = match times.as_slice() {
        [.., before, last] => (last / before).log2(),
        _ => f64::NAN,
    };
    println!("   exponent {exponent:.2}");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    machine::title("growth of the time of operations, best of 3");
    row("backward pass, uses of a text", 64_000, pass).await?;
    row("JSON, uses of a text", 64_000, |uses| drawn(uses, Form::Json)).await?;
    row("DOT, uses of a text", 64_000, |uses| drawn(uses, Form::Dot)).await?;
    row("page, uses of a text", 64_000, |uses| drawn(uses, Form::Page)).await?;
    row("join, pieces of feedback", 80_000, join).await?;
    row("with_contexts, contexts", 80_000, contexts).await?;
    row("nested reductions, depth", 800, nested).await?;
    row("journal opened again, queries", 20_000, journal).await?;
    row("pool, answers", 10_000, |answers| async move { pool(answers) }).await?;
    row("report, queries", 10_000, report).await?;
    row("table of a study, cells", 200, study).await?;
    Ok(())
}
