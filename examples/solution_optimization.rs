//! A worked solution with a mistake is improved at test time: a critic reads it, its critique becomes
//! feedback, the solution is rewritten. The right answer is never given.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin solution_optimization
//! ```
//! The answers are a recording that was written by hand (`solution_optimization.jsonl`); for a real model add
//! `-- --engine ollama/llama3`.

use std::sync::Arc;

use clap::Parser;
use textgrad_core::{Backward, Engine, Parameter, Seed};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::{TextLoss, TextualGradientDescent};

/// The answers of an offline run.
const RECORDING: &str = "solution_optimization.jsonl";

/// The second line loses a sign, and all that follows is built on it.
const WRONG: &str = "We solve 5x - 7 = 2x + 14.\n\
                     Take 2x from both sides:\n\
                     3x + 7 = 14\n\
                     Take 7 from both sides:\n\
                     3x = 7\n\
                     x = 7/3";

const INSTRUCTION: &str = "You evaluate a worked solution of an equation, given line by line. Find the first \
mistake, if there is one, and say why it is one. Do not write the solution anew.";

/// A critique and the solution that was written after it.
struct Iteration {
    critique: String,
    solution: String,
}

async fn improve(
    engine: &Arc<dyn Engine>,
    solution: &Parameter,
    iterations: u64,
    seed: Seed,
) -> Result<Vec<Iteration>, Failure> {
    let loss = TextLoss::new(Arc::clone(engine), INSTRUCTION);
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine))
        .constraint("One equation a line; the last line is x and its value.")
        .seed(seed)
        .build();
    let mut made = Vec::new();
    for iteration in 1..=iterations {
        let seed = seed.child("iteration", iteration);
        let loss = loss.clone().seed(seed.child("loss", 0));
        let evaluation = loss.evaluate(&solution.variable()).await?;
        let gradients = Backward::new(&evaluation).seed(seed.child("backward", 0)).run().await?;
        optimizer.step([solution], &gradients).await?;
        made.push(Iteration {
            critique: evaluation.value().describe(),
            solution: solution.text().to_string(),
        });
    }
    Ok(made)
}

/// What x is by the last line.
fn x_of(solution: &str) -> Option<f64> {
    let (_, value) = solution.lines().last()?.split_once("x =")?;
    match value.split_once('/') {
        Some((above, below)) => {
            Some(above.trim().parse::<f64>().ok()? / below.trim().parse::<f64>().ok()?)
        }
        None => value.trim().trim_end_matches('.').parse().ok(),
    }
}

/// Whether it solves the equation: the two sides, calculated.
fn is_right(solution: &str) -> bool {
    x_of(solution).is_some_and(|x| ((5.0 * x - 7.0) - (2.0 * x + 14.0)).abs() < 1e-9)
}

fn show(solution: &str) {
    println!("{}", quote(solution));
    let verdict = if is_right(solution) { "right" } else { "wrong" };
    println!("(put into the equation, the last line is {verdict}; the model is not told)");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let engine = options.connect_or_replay(RECORDING).await?;
    announce(&*engine);
    let solution = Parameter::new(WRONG, "worked solution of a linear equation");
    heading("the first solution");
    show(WRONG);
    let iterations = improve(&engine, &solution, 3, options.seed()).await?;
    for (number, iteration) in (1..).zip(&iterations) {
        heading(&format!("iteration {number}, the critique"));
        println!("{}", quote(&iteration.critique));
        println!("and the solution after it:");
        show(&iteration.solution);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_examples::replay;

    use super::*;

    #[tokio::test]
    async fn the_mistake_is_found_and_mended_and_what_is_right_stays() {
        assert!(!is_right(WRONG));
        let engine = replay(RECORDING).await.unwrap();
        let solution = Parameter::new(WRONG, "worked solution of a linear equation");
        let made = improve(&engine, &solution, 3, Seed::new(Options::SEED)).await.unwrap();
        assert!(made[0].critique.contains("3x + 7 = 14"), "{}", made[0].critique);
        assert!(!is_right(&made[0].solution), "the first correction has a mistake of its own");
        let last = made.last().unwrap();
        assert!(is_right(&last.solution), "{}", last.solution);
        assert!(last.critique.contains("right"), "{}", last.critique);
    }

    #[test]
    fn solutions_are_read() {
        assert_eq!(x_of("3x = 21\nSo x = 7."), Some(7.0));
        assert_eq!(x_of("x = 14/4"), Some(3.5));
        assert!(is_right("x = 7") && !is_right("x = 7/3") && !is_right("seven"));
    }
}
