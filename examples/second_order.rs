//! Differentiation through an update: what is to change in the wording of the loss, of the request for feedback and of
//! the update, so that one iteration of test-time preference optimization ends with a better answer.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin second_order
//! ```
//! The model is the embedded simulation; for a real one add `-- --engine ollama/llama3`.

use std::sync::Arc;

use clap::Parser;
use textgrad_core::{
    Backward, Engine, Feedback, Gradients, Module, Parameter, PromptModule, PromptPack, Seed,
    Variable,
};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::prompts::templates;
use textgrad_ops::{ContrastiveLoss, TextLoss, TextualGradientDescent};

const QUERY: &str = "How do I take care of a wooden table?";
const CHOSEN: &str = "Dust it with a soft cloth, and wipe up spills at once.";
const REJECTED: &str = "It depends.";

/// The templates that are looked at: of the loss, of requests for feedback, of updates.
const LEARNED: [&str; 3] = ["contrastive_system", "feedback_system", "update_system"];

struct Iteration {
    wording: Vec<Parameter>,
    answer: Variable,
    gradients: Gradients,
}

async fn iterate(engine: &Arc<dyn Engine>, seed: Seed) -> Result<Iteration, Failure> {
    // Three templates of the default pack become parameters.
    let module = PromptModule::new(&PromptPack::new(templates())?, LEARNED)?;
    let (wording, pack) = (module.parameters()?, module.pack()?);

    // Loss, gradient, update: the graph goes on through the feedback and the new answer.
    let query = Variable::constant(QUERY, "query of a user");
    let chosen = Variable::constant(CHOSEN, "a chosen response to a user query");
    let rejected = Variable::constant(REJECTED, "a rejected response to a user query");
    let loss = ContrastiveLoss::new(Arc::clone(engine), &query).against(&rejected);
    let loss =
        loss.prompts(Arc::clone(&pack)).seed(seed.child("loss", 0)).evaluate(&chosen).await?;
    let inner = Backward::new(&loss).wrt([&chosen]).create_graph(true).seed(seed.child("inner", 0));
    let inner = inner.run().await?;
    let feedback: Vec<Feedback> = inner.feedback(&chosen).cloned().collect();
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine)).prompts(pack);
    let optimizer = optimizer.create_graph(true).build();
    let update = optimizer.rewrite(&chosen, &feedback, Some(seed.child("update", 0))).await?;
    let answer = update
        .candidates
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new("expected an answer, got none"))?;

    // An objective on the new answer, and its gradient with respect to the wording.
    let judge = "Judge the answer to a question. Do not answer the question yourself.";
    let judge = TextLoss::new(Arc::clone(engine), judge).seed(seed.child("judge", 0));
    let outer = Backward::new(judge.evaluate(&answer).await?).wrt(&wording);
    let gradients = outer.seed(seed.child("outer", 0)).run().await?;
    Ok(Iteration { wording, answer, gradients })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let engine = options.connect()?;
    announce(&*engine);
    let Iteration { wording, answer, gradients } = iterate(&engine, options.seed()).await?;
    heading("the new answer");
    println!("{}", quote(&answer.to_string()));
    for (name, template) in LEARNED.iter().zip(&wording) {
        heading(&format!("template {name}"));
        println!("{}", quote(&template.text()));
        println!("feedback:");
        println!("{}", quote(&gradients.text(template)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_ops::sim::Sim;

    use super::*;

    #[tokio::test]
    async fn each_template_receives_feedback_by_one_edge() {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        let found = iterate(&engine, Seed::new(Options::SEED)).await.unwrap();
        for template in &found.wording {
            assert_eq!(found.gradients.received(template).len(), 1);
            assert!(!found.gradients.text(template).is_empty());
        }
    }
}
