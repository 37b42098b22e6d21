//! An objective of one's own, composed of three: a check, a comparison in words, and a function with a number.
//! The check stands first and costs nothing; the two others are weighed against each other.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin compose_objective
//! ```
//! The model is the embedded simulation; for a real one add `-- --engine ollama/llama3`.

use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use textgrad_core::{
    Backward, BackwardCx, Engine, Feedback, Gradient, Inputs, Op, OpFailure, Output, Parameter,
    Seed, Variable, apply_one, check_fn,
};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::sim;
use textgrad_ops::{
    ContrastiveLoss, Loss, ScoreLoss, TextualGradientDescent, first_failing, loss_fn, weighted_sum,
};

const QUERY: &str = "How do I take care of a wooden table?";
const FIRST: &str = "Great question! There are, as one might perhaps say, a great many different ways in which \
it is possible to take care of a table that is made of wood, and it might possibly be the case that it depends. \
Dust it.";
const REJECTED: &str = "It depends.";

/// A sentence of more words than this is hard to read.
const LONG: usize = 20;

/// The share of sentences that are easy to read. It computes its score and its feedback: no model is asked.
struct Readable;

/// How many sentences there are, and how many words the longest has.
fn sentences(text: &str) -> Vec<usize> {
    let sentences = text.split_inclusive(['.', '!', '?']);
    sentences
        .map(|sentence| sentence.split_whitespace().count())
        .filter(|words| *words > 0)
        .collect()
}

#[async_trait]
impl Op for Readable {
    fn name(&self) -> &str {
        "readable"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, textgrad_core::Error> {
        let sentences = sentences(inputs.text("text")?);
        let long = sentences.iter().filter(|words| **words > LONG).count();
        let all = sentences.len().max(1);
        let text = format!("{long} of {all} sentences have more than {LONG} words");
        Ok(vec![
            Output::new(text, "how easy a text is to read")
                .with_score((all - long) as f64 / all as f64),
        ])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let longest = sentences(cx.inputs().text("text")?).into_iter().max().unwrap_or_default();
        let feedback = format!(
            "Be brief: the longest sentence has {longest} words; none should have more than {LONG}."
        );
        Ok(vec![(longest > LONG).then(|| Feedback::new(feedback).into())])
    }
}

/// The objective, and its parts, to be looked at one by one.
struct Objective {
    whole: Arc<dyn Loss>,
    to_the_point: Arc<dyn Loss>,
    readable: Arc<dyn Loss>,
}

fn objective(engine: &Arc<dyn Engine>, seed: Seed) -> Result<Objective, textgrad_ops::Error> {
    // `textgrad_ops::check` has ready ones for lengths, phrases, regular expressions and JSON.
    let to_the_point = check_fn("it comes to the point with its first word", |text| {
        match text.trim_start().starts_with("Great question") {
            true => {
                Err("it begins with praise for the reader: remove flattering remarks".to_owned())
            }
            false => Ok(()),
        }
    });
    let to_the_point: Arc<dyn Loss> = Arc::new(ScoreLoss::check(to_the_point));
    let query = Variable::constant(QUERY, "query of a user");
    let rejected = Variable::constant(REJECTED, "a rejected answer");
    let better: Arc<dyn Loss> = Arc::new(
        ContrastiveLoss::new(Arc::clone(engine), &query)
            .against(&rejected)
            .seed(seed.child("better", 0)),
    );
    let readable: Arc<dyn Loss> = Arc::new(loss_fn(|text: Variable| async move {
        apply_one(Arc::new(Readable), [("text", &text)]).await
    }));
    // What costs nothing stands first: while it fails, no model is asked.
    let both = weighted_sum([(2.0, better), (1.0, Arc::clone(&readable))])?;
    let whole = Arc::new(first_failing([Arc::clone(&to_the_point), Arc::new(both)])?);
    Ok(Objective { whole, to_the_point, readable })
}

/// A text and how it did.
struct Iteration {
    text: String,
    to_the_point: String,
    readable: String,
    /// What the whole objective says about it.
    evaluation: String,
    feedback: String,
}

async fn improve(
    engine: &Arc<dyn Engine>,
    iterations: u64,
    seed: Seed,
) -> Result<Vec<Iteration>, Failure> {
    let answer = Parameter::new(FIRST, "answer to a query");
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine)).seed(seed).build();
    let mut made = Vec::new();
    for iteration in 0..=iterations {
        let seed = seed.child("iteration", iteration);
        let objective = objective(engine, seed)?;
        let text = answer.variable();
        let score = async |loss: &Arc<dyn Loss>| -> Result<String, Failure> {
            let score = loss.evaluate(&text).await?.score();
            Ok(score.map_or("none".to_owned(), |score| format!("{score:.4}")))
        };
        let evaluation = objective.whole.evaluate(&text).await?;
        let gradients = Backward::new(&evaluation).seed(seed.child("backward", 0)).run().await?;
        made.push(Iteration {
            text: answer.text().to_string(),
            to_the_point: score(&objective.to_the_point).await?,
            readable: score(&objective.readable).await?,
            evaluation: evaluation.value().describe(),
            feedback: gradients.text(&text),
        });
        if iteration < iterations {
            optimizer.step([&answer], &gradients).await?;
        }
    }
    Ok(made)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let engine = options.connect()?;
    announce(&*engine);
    let made = improve(&engine, 4, options.seed()).await?;
    for (number, iteration) in made.iter().enumerate() {
        heading(&format!("iteration {number}"));
        println!("{}", quote(&iteration.text));
        println!("the objective says:");
        println!("{}", quote(&iteration.evaluation));
        println!("feedback:");
        println!("{}", quote(&iteration.feedback));
    }
    heading("scores by iteration");
    println!("iteration  to the point  short sentences  reward (simulated)");
    for (number, Iteration { text, to_the_point, readable, .. }) in made.iter().enumerate() {
        let reward = sim::reward(QUERY, text);
        println!("{number:>9}  {to_the_point:>12}  {readable:>15}  {reward:>18.2}");
    }
    println!(
        "\nthe comparison in words has no score, so the sum has none: a judge or a reward model gives one"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_ops::sim::Sim;

    use super::*;

    #[tokio::test]
    async fn all_parts_have_their_say_and_the_text_gets_better() {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        let made = improve(&engine, 4, Seed::new(Options::SEED)).await.unwrap();
        assert!(made[0].feedback.contains("praise"), "{}", made[0].feedback);
        let all: String = made.iter().map(|iteration| iteration.feedback.as_str()).collect();
        assert!(all.contains("none should have more than 20"), "{all}");
        let reward = |iteration: &Iteration| sim::reward(QUERY, &iteration.text);
        assert!(reward(made.last().unwrap()) > reward(&made[0]));
    }

    #[tokio::test]
    async fn no_model_is_asked_while_the_check_fails() {
        let engine: Arc<dyn Engine> = Arc::new(textgrad_core::engine_fn("none", |_| async {
            Err(textgrad_core::EngineError::new(
                textgrad_core::ErrorKind::Other,
                "no model may be asked",
            ))
        }));
        let objective = objective(&engine, Seed::new(Options::SEED)).unwrap();
        let praise = Variable::differentiable(FIRST, "text");
        let verdict = objective.whole.evaluate(&praise).await.unwrap();
        assert_eq!(verdict.score().and_then(textgrad_core::Score::passed), Some(false));
        assert!(
            objective.whole.evaluate(&Variable::differentiable("Short.", "text")).await.is_err()
        );
    }
}
