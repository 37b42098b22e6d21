//! A text that may change, an objective in words, feedback, a new text.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin quickstart
//! ```
//! The model is the embedded simulation: nothing to install, nothing to pay. For a real one add
//! `-- --engine ollama/llama3`.

use std::error::Error;
use std::sync::Arc;

use clap::Parser;
use textgrad_core::{Engine, Parameter, Seed, backward};
use textgrad_examples::{Options, announce};
use textgrad_ops::{TextLoss, TextualGradientDescent};

/// What the text is evaluated by. The sections are what `Sim` recognises; a real model does not need them.
const INSTRUCTION: &str = "Evaluate the response to the query: what is good about it, and what does it \
lack? Do not answer the query yourself.\n\n<QUERY>\nHow do I take care of a wooden table?\n</QUERY>";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let engine = options.connect()?;
    announce(&*engine);
    let answer = Parameter::new("Dry it.", "answer to the query of a user");

    let new = improve(&engine, &answer, 3, options.seed()).await?;
    println!("after 3 steps:\n{new}");
    for version in answer.history() {
        println!("version {} was: {}", version.number, version.text);
    }
    Ok(())
}

/// Improves a text by some steps of textual gradient descent.
async fn improve(
    engine: &Arc<dyn Engine>,
    text: &Parameter,
    steps: u32,
    seed: Seed,
) -> Result<Arc<str>, Box<dyn Error>> {
    let loss = TextLoss::new(Arc::clone(engine), INSTRUCTION);
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine)).seed(seed).build();
    for step in 1..=steps {
        let evaluation = loss.evaluate(&text.variable()).await?;
        let gradients = backward(&evaluation).await?;
        println!("step {step}, feedback:\n{}\n", gradients.text(&text.variable()));
        optimizer.step([text], &gradients).await?;
    }
    Ok(text.text())
}

#[cfg(test)]
mod tests {
    use textgrad_ops::sim::Sim;

    use super::*;

    #[tokio::test]
    async fn the_text_gets_longer_and_is_remembered() {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        let answer = Parameter::new("Dry it.", "answer to the query of a user");
        let new = improve(&engine, &answer, 3, Seed::new(7)).await.unwrap();
        assert!(new.len() > "Dry it.".len());
        assert_eq!(answer.version(), 3);
    }
}
