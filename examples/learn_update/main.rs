//! Learning the prompt of an optimizer: the wording of the updates of test-time preference optimization, trained on
//! queries by gradients that go through those updates. In the manner of metaTextGrad (arXiv:2505.18524).
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin learn_update
//! ```
//! The model is the embedded simulation, and its rewards are simulated. For a real one, which grades the answers too:
//! `-- --engine ollama/llama3 --seeds 1`. A step then has about 170 requests.

use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use textgrad_core::{
    Backward, Engine, Error, Feedback, Members, Module, PromptModule, PromptPack, Sampling, Seed,
    StateDict, Variable,
};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::prompts::templates;
use textgrad_ops::score::{Example, LlmJudge, Scorer, scorer_fn};
use textgrad_ops::train::{Dataset, Program, Split, Trainer, Training};
use textgrad_ops::{ContrastiveLoss, LlmCall, TextualGradientDescent, example_loss_fn, sim};

const QUERIES: &str = include_str!("queries.txt");
const QUERY: &str = "query of a user";
const CRITERION: &str =
    "The answer serves the query: it is direct, complete, concrete and to the point.";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// The templates that are learned
    #[arg(long, value_name = "NAME", default_value = "update_system", num_args = 1..)]
    learn: Vec<String>,
    /// How many trainings there are, each with a seed and a split of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many steps a training has
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    steps: usize,
}

/// One iteration of test-time preference optimization. Its prompts are its parameters.
struct Iteration {
    prompts: PromptModule,
    engine: Arc<dyn Engine>,
    scorer: Arc<dyn Scorer>,
}

impl Module for Iteration {
    fn members(&self) -> Members<'_> {
        vec![("prompts".into(), (&self.prompts).into())]
    }
}

#[async_trait]
impl Program for Iteration {
    /// Samples three answers, and improves the best by what makes it better than the worst.
    async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error> {
        let pack = self.prompts.pack()?;
        let query = Variable::constant(example.text("query")?, QUERY);
        let policy = LlmCall::builder(Arc::clone(&self.engine))
            .sampling(Sampling::default().with_n(3))
            .response_role("a response to a query")
            .build();
        let mut scored = Vec::new();
        for answer in policy.ask(&query).seed(seed.child("sample", 0)).all().await? {
            let verdict = self.scorer.score(answer.require_text("answer")?, example).await?;
            scored.push((verdict.required()?.as_f64(), answer));
        }
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let [(_, chosen), .., (_, rejected)] = scored.as_slice() else {
            return Err(Error::op("expected two answers or more"));
        };

        let loss = ContrastiveLoss::new(Arc::clone(&self.engine), &query).against(rejected);
        let loss = loss.prompts(Arc::clone(&pack)).seed(seed.child("loss", 0));
        let pass = Backward::new(loss.evaluate(chosen).await?).wrt([chosen]).create_graph(true);
        let gradients = pass.seed(seed.child("gradient", 0)).run().await?;
        let feedback: Vec<Feedback> = gradients.feedback(chosen).cloned().collect();
        let optimizer = TextualGradientDescent::builder(Arc::clone(&self.engine)).prompts(pack);
        let optimizer = optimizer.create_graph(true).build();
        let update = optimizer.rewrite(chosen, &feedback, Some(seed.child("update", 0))).await;
        let update = update.map_err(|error| Error::op(error.to_string()))?;
        update.candidates.into_iter().next().ok_or_else(|| Error::op("expected an answer"))
    }
}

/// What became of one training: the mean reward of the new answers, with the first prompts and the learned ones.
struct Outcome {
    training: Training,
    validation: (f64, f64),
    test: (f64, f64),
}

async fn learn(
    engine: &Arc<dyn Engine>,
    names: &[String],
    steps: usize,
    seed: Seed,
) -> Result<Outcome, Failure> {
    let scorer: Arc<dyn Scorer> = if engine.is_simulation() {
        Arc::new(scorer_fn("simulated reward", |answer: &str, example: &Example| {
            Ok(sim::reward(example.text("query")?, answer))
        }))
    } else {
        Arc::new(LlmJudge::builder(Arc::clone(engine), CRITERION).build())
    };
    let pack = PromptPack::new(templates())?;
    let prompts = PromptModule::new(&pack, names.iter().map(String::as_str))?;
    let program =
        Arc::new(Iteration { prompts, engine: Arc::clone(engine), scorer: Arc::clone(&scorer) });
    let first = program.state_dict()?;

    // The objective looks at the new answer. It is worded by the default pack, which stays as it is.
    let critic = Arc::clone(engine);
    let loss = example_loss_fn(move |answer: Variable, example: Example, seed: Seed| {
        let critic = Arc::clone(&critic);
        async move {
            let query = Variable::constant(example.text("query")?, QUERY);
            ContrastiveLoss::new(critic, &query).seed(seed).evaluate(&answer).await
        }
    });
    let Split { train, validation, test } = split(seed)?;
    let optimizer = TextualGradientDescent::builder(Arc::clone(engine)).seed(seed).build();
    let trainer = Trainer::builder(program.clone(), Arc::new(loss), Arc::new(optimizer), train)
        .validation(validation)
        .evaluator(Arc::clone(&scorer))
        .batch_size(4)
        .epochs(steps.div_ceil(2))
        .steps_per_epoch(2)
        .seed(seed)
        .build()?;
    let training = trainer.run().await?;

    let baseline = training.baseline.as_ref().and_then(|baseline| baseline.validation);
    let before = baseline.map(|baseline| baseline.score).unwrap_or_default();
    let learned = measure(&program, &training.best, &test, seed).await?;
    let test = (measure(&program, &first, &test, seed).await?, learned);
    let validation = (before, training.score.unwrap_or(before));
    Ok(Outcome { training, validation, test })
}

/// 8 queries to train on, 16 to select prompts by, 16 that nothing is selected by.
fn split(seed: Seed) -> Result<Split, Failure> {
    let examples = (1..).zip(QUERIES.lines());
    let examples =
        examples.map(|(id, query)| Example::new(id.to_string()).with_field("query", query));
    let data = Dataset::new("queries", examples)?.shuffled(seed.child("split", 0));
    Ok(data.split_counts(8, 16)?)
}

/// The mean reward of the new answers with these prompts.
async fn measure(
    program: &Iteration,
    prompts: &StateDict,
    queries: &Dataset,
    seed: Seed,
) -> Result<f64, Failure> {
    program.load_state_dict(prompts)?;
    let mut sum = 0.0;
    for (example, place) in queries.iter().zip(0..) {
        let answer = program.forward(example, seed.child("test", place)).await?;
        let verdict = program.scorer.score(answer.require_text("answer")?, example).await?;
        sum += verdict.required()?.as_f64();
    }
    Ok(sum / queries.len() as f64)
}

/// The 97.5 % quantile of Student's t, by degrees of freedom from 1 on; beyond the list the last serves.
const T: [f64; 15] = [
    12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131,
];

/// The mean and half the width of its 95 % interval, if there are several values.
fn interval(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let degrees = values.len().saturating_sub(1);
    let t = degrees.checked_sub(1).and_then(|at| T.get(at.min(T.len() - 1)));
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, t.map(|t| t * (squares / degrees as f64 / count).sqrt()))
}

fn shown((mean, half): (f64, Option<f64>)) -> String {
    match half {
        Some(half) => format!("{mean:+.2} [{:+.2}, {:+.2}]", mean - half, mean + half),
        None => format!("{mean:+.2}"),
    }
}

fn report(outcomes: &[Outcome]) {
    heading("mean reward of the answers that the updates wrote");
    println!("          validation         test, which selects nothing");
    println!("training  first  learned     first  learned");
    for (number, outcome) in (1..).zip(outcomes) {
        let ((v0, v1), (t0, t1)) = (outcome.validation, outcome.test);
        println!("{number:>8}  {v0:+.2}  {v1:+.2}       {t0:+.2}  {t1:+.2}");
    }
    let gain = |of: fn(&Outcome) -> (f64, f64)| {
        let gains: Vec<f64> =
            outcomes.iter().map(|outcome| of(outcome).1 - of(outcome).0).collect();
        shown(interval(&gains))
    };
    println!("\ngain with its 95 % interval over the trainings");
    println!("validation {}", gain(|outcome| outcome.validation));
    println!("test       {}", gain(|outcome| outcome.test));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let Arguments { options, learn: names, seeds, steps } = Arguments::parse();
    let engine = options.connect()?;
    announce(&*engine);
    let mut outcomes = Vec::new();
    for number in 0..seeds {
        let seed = options.seed().child("training", number);
        outcomes.push(learn(&engine, &names, steps, seed).await?);
    }
    if let Some(last) = outcomes.last() {
        for (name, text) in last.training.best.iter() {
            heading(&format!(
                "{name}, as the last training learned it in step {}",
                last.training.best_step
            ));
            println!("{}", quote(text));
        }
    }
    report(&outcomes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use textgrad_ops::sim::Sim;

    use super::*;

    #[tokio::test]
    async fn the_learned_prompt_writes_better_answers_over_several_seeds() {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        let names = ["update_system".to_owned()];
        let mut gains = Vec::new();
        for number in 0..8 {
            let seed = Seed::new(Options::SEED).child("training", number);
            let outcome = learn(&engine, &names, 4, seed).await.unwrap();
            gains.push(outcome.test.1 - outcome.test.0);
        }
        let (mean, half) = interval(&gains);
        assert!(mean - half.unwrap() > 0.0, "{gains:?}");
    }

    #[test]
    fn the_interval_is_that_of_student() {
        let (mean, half) = interval(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (half.unwrap() - 4.303 / 3_f64.sqrt()).abs() < 1e-9);
        assert_eq!(interval(&[1.0]), (1.0, None));
    }
}
