//! Time and size of a page: layers of model calls, each over two results of the layer
//! before, with feedback on everything.
//!
//! Run with
//! ```sh
//! cargo bench -p textgrad-tests --bench page
//! ```
//! With `-- FOLDER` it also leaves the pages there, to be looked at.

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/words.rs"]
mod words;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use figures::median;
use textgrad_core::{
    Choice, Engine, FinishReason, Gradients, Graph, Page, Parameter, Purpose, Request, Response,
    Variable, backward, engine_fn,
};
use textgrad_ops::{LlmCall, TextualGradientDescent, sum};
use words::words;

const RUNS: usize = 5;
/// Words of each answer.
const LENGTH: usize = 60;
/// Calls in a layer.
const WIDTH: usize = 16;

fn engine() -> Arc<dyn Engine> {
    Arc::new(engine_fn("instant", |request: Request| async move {
        let asked = request.messages.last().map(|message| message.text().len()).unwrap_or_default();
        let mut text = words(LENGTH, asked);
        if request.purpose == Purpose::Update {
            text = format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>");
        }
        Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)]))
    }))
}

/// A program of about so many nodes, its feedback, and an update of each of its parameters.
async fn program(nodes: usize) -> Result<(Graph, Gradients), Box<dyn Error>> {
    let llm = LlmCall::builder(engine()).build();
    let systems: Vec<Parameter> = (0..4)
        .map(|i| Parameter::new(words(LENGTH, i), format!("system prompt of part {i}")))
        .collect();
    let mut layer: Vec<Variable> =
        (0..WIDTH).map(|i| Variable::constant(words(20, i), format!("question {i}"))).collect();
    // A call and its answer are two nodes, and so is each of its three feedbacks.
    for _ in 0..(nodes / (8 * WIDTH)).max(1) {
        let mut next = Vec::new();
        for (i, answer) in layer.iter().enumerate() {
            let Some(system) = systems.get(i % systems.len()) else { continue };
            let other = layer.get((i + 1) % layer.len()).unwrap_or(answer);
            next.push(llm.ask(answer).system(system).attach(other).one().await?);
        }
        layer = next;
    }
    let end = sum(&layer).await?;
    let gradients = backward(&end).await?;
    let optimizer = TextualGradientDescent::builder(engine()).build();
    let feedback = gradients.variables().flat_map(|variable| gradients.feedback(variable));
    let mut ends: Vec<Variable> = feedback.map(|feedback| feedback.variable().clone()).collect();
    ends.push(end);
    for system in &systems {
        let feedback: Vec<_> = gradients.feedback(&system.variable()).take(4).cloned().collect();
        if !feedback.is_empty() {
            ends.extend(optimizer.rewrite(&system.variable(), &feedback, None).await?.candidates);
        }
    }
    Ok((Graph::trace_all(&ends), gradients))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder: Option<PathBuf> =
        std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map(Into::into);
    machine::title("page of a graph");
    println!(
        "{:>7} {:>7} {:>9} {:>10} {:>10} {:>10}",
        "nodes", "edges", "feedback", "json s", "html s", "bytes"
    );
    for size in [100, 1_000, 5_000] {
        let (graph, gradients) = program(size).await?;
        let view = graph.view().gradients(&gradients);
        let (mut json_s, mut html_s, mut html) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..RUNS {
            let begun = Instant::now();
            let json = view.to_json();
            json_s.push(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            html = view.to_html();
            html_s.push(begun.elapsed().as_secs_f64());
            let read = Page::new("textgrad graph").graph_json("graph", &json)?;
            if read.to_html() != html {
                return Err("the page from JSON is another one".into());
            }
        }
        let feedback = gradients.variables().map(|v| gradients.feedback(v).count()).sum::<usize>();
        println!(
            "{:>7} {:>7} {feedback:>9} {:>10.3} {:>10.3} {:>10}",
            graph.as_petgraph().node_count(),
            graph.as_petgraph().edge_count(),
            median(json_s),
            median(html_s),
            html.len()
        );
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("page-{size}.html")), &html)?;
        }
    }
    Ok(())
}
