//! Long chains: built, traced, differentiated, dropped, in nanoseconds a link.
//!
//! `cargo bench -p textgrad-tests --bench chain`

#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use textgrad_core::{
    BackwardCx, Choice, Feedback, FinishReason, Graph, Inputs, Op, Output, Parameter, Response,
    Variable, apply_one, backward, engine_fn, op_fn,
};
use textgrad_ops::LlmCall;

const RUNS: usize = 3;
const PHASES: [&str; 5] = ["build", "trace", "backward", "drop gradients", "drop chain"];

/// What makes the next link of a chain.
type Link = dyn Fn(Variable) -> BoxFuture<'static, Result<Variable, textgrad_core::Error>>;

/// A link that computes: what is left is the framework.
fn computed() -> Box<Link> {
    let role: Arc<str> = "step of a chain".into();
    let op = op_fn("link", move |_: Inputs| {
        let output = Output::new("text", Arc::clone(&role));
        async move { Ok(vec![output]) }
    })
    .with_backward(|_: BackwardCx| async { Ok(vec![Some(Feedback::new("Shorten it.").into())]) });
    let op: Arc<dyn Op> = Arc::new(op);
    Box::new(move |end| {
        let op = Arc::clone(&op);
        Box::pin(async move { apply_one(op, [("text", &end)]).await })
    })
}

/// A link that asks a model which answers at once.
fn asked() -> Box<Link> {
    let engine = engine_fn("instant", |_| async {
        Ok(Response::new(vec![Choice::new("Shorten it.", FinishReason::Stop)]))
    });
    let llm = LlmCall::builder(Arc::new(engine)).build();
    Box::new(move |end| {
        let llm = llm.clone();
        Box::pin(async move { llm.ask(&end).one().await })
    })
}

async fn run(link: &Link, links: usize) -> Result<[Duration; 5], Box<dyn Error>> {
    let start = Parameter::new("text", "first text").variable();
    let begun = Instant::now();
    let mut end = start.clone();
    for _ in 0..links {
        end = link(end).await?;
    }
    let build = begun.elapsed();

    let begun = Instant::now();
    let graph = black_box(Graph::trace(&end));
    let trace = begun.elapsed();
    if graph.calls().count() != links {
        return Err(format!("expected {links} links, traced {}", graph.calls().count()).into());
    }
    drop(graph);

    let begun = Instant::now();
    let gradients = backward(&end).await?;
    let back = begun.elapsed();
    if gradients.text(&start) != "Shorten it." {
        return Err("the pass did not reach the start of the chain".into());
    }

    let begun = Instant::now();
    drop(gradients);
    let drop_gradients = begun.elapsed();

    let begun = Instant::now();
    drop(end);
    Ok([build, trace, back, drop_gradients, begun.elapsed()])
}

async fn table(name: &str, link: &Link, sizes: [usize; 4]) -> Result<(), Box<dyn Error>> {
    println!("{name}: ns a link (times the figure of the shortest chain)");
    print!("{:>9}", "links");
    for phase in PHASES {
        print!("  {phase:>16}");
    }
    println!();
    // The first run pays for the memory that the others use again.
    run(link, 1_000).await?;
    let mut shortest: Option<[f64; 5]> = None;
    for links in sizes {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(run(link, links).await?);
        }
        let mut figures = [0.0; 5];
        for (phase, figure) in figures.iter_mut().enumerate() {
            let least = runs.iter().filter_map(|run| run.get(phase)).min();
            *figure = least.map_or(f64::NAN, |took| took.as_secs_f64() * 1e9 / links as f64);
        }
        print!("{links:>9}");
        for (figure, first) in figures.iter().zip(shortest.get_or_insert(figures)) {
            print!("  {figure:>8.0} ({:>3.1} x)", figure / *first);
        }
        println!();
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("chains, best of 3 runs; a link is a call and the variable that it makes");
    table("links that compute", &*computed(), [25_000, 50_000, 100_000, 200_000]).await?;
    table("links that ask a model", &*asked(), [5_000, 10_000, 20_000, 40_000]).await
}
