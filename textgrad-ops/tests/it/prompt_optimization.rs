//! The prompt of counting questions is optimized, all of it against the simulation.
//!
//! The figures are figures about the simulation. They are printed; only what has to be is asserted.

use std::sync::Arc;

use futures_util::future::try_join_all;
use textgrad_core::{Backward, Engine, Error, Layout, Parameter, Seed, Variable};
use textgrad_ops::sim::{Sim, counting};
use textgrad_ops::{LlmCall, LlmReduce, StringFn, TextualGradientDescent, aggregate, sum};

const PLAIN: &str = "You will answer a reasoning question. Think step by step. The last line of your \
    response should have the form 'Answer: VALUE', where VALUE is a number.";
const STEPS: u64 = 12;
const BATCH: usize = 8;
const VALIDATION: usize = 100;

/// The last number of an answer.
fn number(answer: &str) -> Option<u32> {
    answer.rsplit(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

struct Run {
    engine: Arc<dyn Engine>,
    llm: LlmCall,
    check: StringFn,
    seed: Seed,
}

impl Run {
    fn new(engine: Arc<dyn Engine>, seed: u64) -> Self {
        let purpose = "says 1 if the last number of the answer is the expected one, else 0";
        let check = StringFn::new(Arc::clone(&engine), purpose, |inputs| {
            let right = number(inputs.text("answer")?) == number(inputs.text("expected")?);
            Ok(u8::from(right).to_string())
        });
        let llm = LlmCall::builder(Arc::clone(&engine)).build();
        Self { engine, llm, check, seed: Seed::new(seed) }
    }

    async fn verdict(
        &self,
        prompt: &Variable,
        (question, answer): &(String, String),
        seed: Seed,
    ) -> Result<Variable, Error> {
        let question = Variable::constant(question.as_str(), "question");
        let expected = Variable::constant(answer.as_str(), "the right answer");
        let answer = self.llm.ask(&question).system(prompt).seed(seed).one().await?;
        self.check.call([("answer", &answer), ("expected", &expected)]).await
    }

    /// The share of right answers.
    async fn score(&self, prompt: &Variable, questions: &[(String, String)]) -> f64 {
        let asked = (0..).zip(questions).map(|(index, question)| {
            self.verdict(prompt, question, self.seed.child("validation", index))
        });
        let verdicts = try_join_all(asked).await.expect("verdicts");
        let right = verdicts.iter().filter(|verdict| verdict.text() == Some("1")).count();
        right as f64 / questions.len() as f64
    }

    /// One step on one minibatch.
    async fn step(&self, prompt: &Parameter, batch: &[(String, String)], step: u64, reduce: bool) {
        let seed = self.seed.child("step", step);
        let variable = prompt.variable();
        let asked = (0..)
            .zip(batch)
            .map(|(index, question)| self.verdict(&variable, question, seed.child("q", index)));
        let verdicts = try_join_all(asked).await.expect("verdicts");
        let total = match reduce {
            true => aggregate(&verdicts, Arc::new(LlmReduce::new(Arc::clone(&self.engine)))).await,
            false => sum(&verdicts).await,
        };
        let layout = if reduce { Layout::Quoted } else { Layout::Continued };
        let total = total.expect("a total");
        let pass = Backward::new(&total).layout(layout).seed(seed.child("backward", 0));
        let gradients = pass.run().await.expect("gradients");
        let optimizer = TextualGradientDescent::builder(Arc::clone(&self.engine))
            .seed(seed.child("update", 0))
            .build();
        optimizer.step([prompt], &gradients).await.expect("a step");
    }
}

/// Scores before, after each step that was kept or taken back, and at the end.
struct Report {
    first: f64,
    last: f64,
    lowered: usize,
    curve: Vec<f64>,
    prompt: String,
}

async fn optimize(skill: f64, seed: u64, steps: u64, revert: bool, reduce: bool) -> Report {
    let engine: Arc<dyn Engine> = Arc::new(Sim::builder().skill(skill).build().expect("a skill"));
    let run = Run::new(engine, seed);
    let questions = counting::questions(BATCH * steps as usize + VALIDATION, seed);
    let (validation, training) = questions.split_at(VALIDATION);
    let prompt = Parameter::new(PLAIN, "system prompt of a model that answers questions");
    let first = run.score(&prompt.variable(), validation).await;
    let (mut last, mut lowered, mut curve) = (first, 0, Vec::new());
    for (step, batch) in (0..steps).zip(training.chunks(BATCH)) {
        let before = prompt.variable();
        run.step(&prompt, batch, step, reduce).await;
        let score = run.score(&prompt.variable(), validation).await;
        curve.push(score);
        if score < last {
            lowered += 1;
            if revert {
                prompt.set(before.text().expect("a text"));
                continue;
            }
        }
        last = score;
    }
    Report { first, last, lowered, curve, prompt: prompt.text().to_string() }
}

#[tokio::test]
async fn the_score_rises_and_steps_that_lower_it_are_taken_back() {
    let mut lowered = 0;
    // Merged feedback or not, quoted calls or continued ones.
    for (seed, reduce) in [(1, false), (2, true), (3, false)] {
        let report = optimize(0.8, seed, STEPS, true, reduce).await;
        println!(
            "seed {seed}: {:.2} to {:.2}, lowered {} times, by step {:.2?}\n{}\n",
            report.first, report.last, report.lowered, report.curve, report.prompt
        );
        assert!((0.5..0.75).contains(&report.first), "seed {seed}: {}", report.first);
        assert!(report.last >= report.first + 0.1, "seed {seed}: {:.2?}", report.curve);
        lowered += report.lowered;
    }
    assert!(lowered > 0, "taking back would never matter");
}

#[tokio::test]
async fn without_taking_back_the_dial_decides() {
    let skilled = optimize(1.0, 1, 8, false, false).await;
    let unskilled = optimize(0.2, 1, 8, false, false).await;
    for (skill, report) in [(1.0, &skilled), (0.2, &unskilled)] {
        println!("skill {skill}: {:.2}, then {:.2?}", report.first, report.curve);
    }
    assert!(skilled.last > skilled.first + 0.15, "{:.2?}", skilled.curve);
    assert!(unskilled.last < unskilled.first + 0.05, "{:.2?}", unskilled.curve);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run() {
    let (one, other) =
        (optimize(0.8, 4, 2, true, true).await, optimize(0.8, 4, 2, true, true).await);
    assert_eq!((one.curve, one.prompt), (other.curve, other.prompt));
}
