//! Code is improved at test time by its unit tests: they are run, what they print is the feedback, the code is
//! rewritten, until they pass. No model judges whether the code is right.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin code_optimization
//! ```
//! The tests are Python's if there is a `python3`, else Rust's (`--language rust`), which need `rustc` and `sh`.
//! The tests really run; the new versions of the code are a recording that was written by hand (`python.jsonl`,
//! `rust.jsonl`). For a real model add `-- --engine ollama/qwen2.5-coder`. Programs that a model wrote are run on
//! this machine: time, memory and output are limited, but there is no sandbox.

mod language;

use std::sync::Arc;

use clap::Parser;
use textgrad_core::{Backward, Engine, Parameter, Score, Seed, truncate};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::score::CommandScorer;
use textgrad_ops::{ScoreLoss, TextualGradientDescent};

use self::language::Language;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// The language of the code
    #[arg(long, value_enum)]
    language: Option<Language>,
    /// How often the code is rewritten at most
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    iterations: u64,
}

/// The code before an iteration, and what its tests made of it.
struct Iteration {
    code: String,
    /// The share of the tests that passed.
    passed: Option<Score>,
    feedback: String,
}

async fn improve(
    engine: &Arc<dyn Engine>,
    language: Language,
    iterations: u64,
    seed: Seed,
) -> Result<Vec<Iteration>, Failure> {
    let code = Parameter::new(language.code(), format!("functions in {}", language.name()));
    // How the program ended is the verdict; with a number it can be seen how far it is.
    let tests = CommandScorer::builder(language.runner()?)
        .purpose(format!("runs the unit tests of functions in {}", language.name()))
        .score_by(move |run| language.share_passed(run))
        .build()?;
    let loss = ScoreLoss::command(tests);
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine))
        .constraint("The whole file, and nothing but code. The functions keep their names.")
        .seed(seed)
        .build();
    let mut made = Vec::new();
    for iteration in 0..=iterations {
        let verdict = loss.evaluate(&code.variable()).await?;
        // Without a model: a program that failed says so itself, one that passed says nothing.
        let seed = seed.child("backward", iteration);
        let gradients = Backward::new(&verdict).seed(seed).run().await?;
        let feedback = gradients.text(&code.variable());
        let passed = feedback.is_empty();
        let text = code.text().to_string();
        made.push(Iteration { code: text, passed: verdict.score(), feedback });
        if passed {
            break;
        }
        if iteration < iterations {
            optimizer.step([&code], &gradients).await?;
        }
    }
    Ok(made)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let language = match arguments.language {
        Some(language) => language,
        None => Language::found().await,
    };
    let engine = arguments.options.connect_or_replay(language.recording()).await?;
    announce(&*engine);
    println!("the unit tests ({}, really run here):", language.name());
    println!("{}", quote(language.tests()));
    let made = improve(&engine, language, arguments.iterations, arguments.options.seed()).await?;
    for (number, iteration) in made.iter().enumerate() {
        heading(&format!("version {number}"));
        println!("{}", quote(&iteration.code));
        match iteration.passed {
            Some(share) => println!("{:.0} % of the tests pass", share.as_f64() * 100.0),
            None => println!("the tests could not be counted"),
        }
        if !iteration.feedback.is_empty() {
            println!("the feedback, which no model wrote:");
            println!("{}", quote(&truncate(&iteration.feedback, 1000)));
        }
    }
    match made.last() {
        Some(last) if last.feedback.is_empty() => println!("\nall tests pass"),
        _ => println!("\nthe tests do not pass after {} versions", made.len()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_examples::replay;

    use super::*;

    async fn all_tests_pass_in_the_end(language: Language) {
        if !language.is_here().await {
            eprintln!("SKIPPED: {} has nothing here to run it with", language.name());
            return;
        }
        let engine = replay(language.recording()).await.unwrap();
        let made = improve(&engine, language, 5, Seed::new(Options::SEED)).await.unwrap();
        let passed: Vec<Option<f64>> =
            made.iter().map(|iteration| Some(iteration.passed?.as_f64())).collect();
        assert_eq!(passed.first(), Some(&Some(0.5)), "two of four fail at first");
        assert_eq!(passed.last(), Some(&Some(1.0)), "{passed:?}");
        assert!(made[0].feedback.contains("-3"), "{}", made[0].feedback);
        assert_eq!(made.last().unwrap().feedback, "");
    }

    #[tokio::test]
    async fn python() {
        all_tests_pass_in_the_end(Language::Python).await;
    }

    #[tokio::test]
    async fn rust() {
        all_tests_pass_in_the_end(Language::Rust).await;
    }
}
