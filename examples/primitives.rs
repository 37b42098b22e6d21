//! The parts of the framework, one after the other: variables and parameters, a call of a model, an objective
//! in words, feedback, a new text; and a page that shows all of it.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin primitives
//! ```
//! The model is the embedded simulation; for a real one add `-- --engine ollama/llama3`. With
//! `-- --html graph.html` it writes the whole run as one page to open in a browser.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use textgrad_core::{Backward, Engine, Graph, Parameter, Seed, Variable, section};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::sim;
use textgrad_ops::{LlmCall, TextLoss, TextualGradientDescent};

const QUERY: &str = "How do I take care of a wooden table?";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Writes the graph as an HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What is left of the tour.
struct Tour {
    system: Parameter,
    answers: [Variable; 2],
    page: String,
}

async fn tour(engine: &Arc<dyn Engine>, seed: Seed) -> Result<Tour, Failure> {
    heading("variables");
    // A variable is a text and what it is for, in words. It never changes.
    let question = Variable::constant(QUERY, "query of a user");
    // A parameter is what may change. Feedback is gathered on it, and on nothing that does not depend on it.
    let system = Parameter::new("You are a brief assistant.", "system prompt");
    for variable in [&question, &system.variable()] {
        let text = variable.text().unwrap_or_default();
        let may_change = if variable.requires_grad() { "may change" } else { "constant" };
        println!("{may_change:<10}  {}: {text:?}", variable.role());
    }

    heading("a call of a model");
    let llm = LlmCall::builder(Arc::clone(engine)).build();
    let ask = || llm.ask(&question).seed(seed.child("answer", 0));
    let answer = ask().system(&system).one().await?;
    println!("{}", quote(answer.text().unwrap_or_default()));
    println!("it asks for feedback, as the system prompt does: {}", answer.requires_grad());

    heading("an objective, in words");
    // The section is what the simulation knows a query by; a real model does not need it.
    let instruction = format!(
        "Evaluate the answer to the query. What is good about it, and what does it lack? Be critical, and do \
         not answer the query yourself.\n\n{}",
        section("QUERY", QUERY)
    );
    let loss = TextLoss::new(Arc::clone(engine), instruction).seed(seed.child("loss", 0));
    let evaluation = loss.evaluate(&answer).await?;
    println!("{}", quote(evaluation.text().unwrap_or_default()));

    heading("backward: feedback on everything that the objective depends on and that may change");
    let gradients = Backward::new(&evaluation).seed(seed.child("backward", 0)).run().await?;
    println!("on the answer:");
    println!("{}", quote(&gradients.text(&answer)));
    println!("on the system prompt, by what was said about the answer:");
    println!("{}", quote(&gradients.text(&system.variable())));
    println!("on the question, a constant: {} pieces", gradients.get(&question).len());

    heading("an optimizer step");
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine)).seed(seed).build();
    // `propose` asks and `apply` assigns; `optimizer.step(..)` does both.
    let proposal = optimizer.propose_updates([&system], &gradients).await?;
    proposal.apply()?;
    println!("the system prompt, version {}:", system.version());
    println!("{}", quote(&system.text()));

    heading("the same question again");
    let second = ask().system(&system).one().await?;
    println!("{}", quote(second.text().unwrap_or_default()));

    // The new text is a variable too, made of the old one and the feedback: all of it is one graph.
    let rewrites = proposal.updates.iter().filter_map(|update| update.rewrite.as_ref().ok());
    let new: Vec<&Variable> = rewrites.flat_map(|rewrite| &rewrite.candidates).collect();
    let ends = [&evaluation, &second];
    let graph = Graph::trace_all(ends.into_iter().chain(new));
    println!(
        "\nthe graph: {} variables, {} calls",
        graph.variables().count(),
        graph.calls().count()
    );
    let page = graph.view().gradients(&gradients).to_html();
    Ok(Tour { system, answers: [answer, second], page })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let engine = arguments.options.connect()?;
    announce(&*engine);
    let tour = tour(&engine, arguments.options.seed()).await?;
    if engine.is_simulation() {
        let reward = |answer: &Variable| sim::reward(QUERY, answer.text().unwrap_or_default());
        let [first, second] = tour.answers.each_ref().map(reward);
        println!("reward (simulated): {first:.2} before, {second:.2} after");
    }
    println!("{} earlier version(s) of the system prompt are kept", tour.system.history().len());
    if let Some(path) = arguments.html {
        tokio::fs::write(&path, tour.page).await?;
        println!("{} is written; open it in a browser", path.display());
    } else {
        println!("with `-- --html graph.html` it is written as a page");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_ops::sim::Sim;

    use super::*;

    #[tokio::test]
    async fn one_step_makes_a_better_prompt_and_the_page_shows_it() {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        let tour = tour(&engine, Seed::new(Options::SEED)).await.unwrap();
        assert_eq!(tour.system.version(), 1);
        assert!(tour.page.contains("You are a brief assistant."));
        let [first, second] = tour.answers.map(|answer| sim::reward(QUERY, answer.text().unwrap()));
        assert!(second > first, "{first} to {second}");
    }
}
