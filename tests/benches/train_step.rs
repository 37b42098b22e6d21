//! Wall time of one optimization step over a minibatch, against its critical path.
//!
//! `cargo bench -p textgrad-tests --bench train_step`

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cpu_time::ProcessTime;
use textgrad_core::{
    Choice, Engine, Error as CoreError, FinishReason, Gradients, Members, Module, Parameter,
    Purpose, Reduce, Request, Response, Seed, Variable, engine_fn,
};
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::{Limits, Meter};
use textgrad_ops::score::{Example, scorer_fn};
use textgrad_ops::train::{Dataset, Program, Trainer};
use textgrad_ops::{
    LlmCall, LlmReduce, Optimizer, ParameterUpdate, Proposal, TextLoss, TextualGradientDescent,
    UpdateOutcome,
};

const LATENCY: Duration = Duration::from_millis(50);
const QUESTIONS: usize = 64;
const RUNS: usize = 7;

struct Solver {
    system: Parameter,
    llm: LlmCall,
}

impl Module for Solver {
    fn members(&self) -> Members<'_> {
        vec![("system".into(), (&self.system).into())]
    }
}

#[async_trait]
impl Program for Solver {
    async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, CoreError> {
        let question = Variable::constant(example.text("question")?, "question");
        self.llm.ask(&question).system(&self.system).seed(seed).one().await
    }
}

/// Answers after a while. A real answer is some hundred words long.
fn engine() -> impl Engine + 'static {
    engine_fn("waits", |request: Request| async move {
        tokio::time::sleep(LATENCY).await;
        let words = "There are seven of them, which can be seen by counting. ".repeat(20);
        let text = match request.purpose {
            Purpose::Update => format!("<IMPROVED_VARIABLE>\n{words}\n</IMPROVED_VARIABLE>"),
            _ => words,
        };
        Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)]))
    })
}

/// A way to run a step: how many calls follow each other at least.
struct Setup {
    name: &'static str,
    reduce: bool,
    calls_at_once: Option<u32>,
}

impl Setup {
    /// No schedule is shorter.
    fn least(&self) -> Duration {
        // A wave of calls takes as many turns as the limit makes of it.
        let wave = |calls: usize| {
            let at_once = self.calls_at_once.map_or(calls, |most| most as usize);
            u32::try_from(calls.div_ceil(at_once)).unwrap_or(u32::MAX)
        };
        // Predictions, objectives, feedback on predictions, feedback on the system prompt; then the
        // feedback is merged, and the update asked for.
        LATENCY * (4 * wave(QUESTIONS) + u32::from(self.reduce) + 1)
    }

    fn requests(&self) -> u64 {
        4 * QUESTIONS as u64 + u64::from(self.reduce) + 1
    }
}

async fn run(setup: &Setup) -> Result<(f64, f64), Box<dyn Error>> {
    let meter = Meter::default();
    let engine: Arc<dyn Engine> = match setup.calls_at_once {
        None => Arc::new(engine().metered(&meter)),
        Some(most) => Arc::new(engine().limit(Limits::default().concurrency(most)).metered(&meter)),
    };
    let questions = (0..QUESTIONS).map(|number| {
        let question =
            format!("I have {number} apples, two pears and a cat. How many fruits do I have?");
        Example::new(number.to_string()).with_field("question", question.repeat(5))
    });
    let solver = Solver {
        system: Parameter::new("Answer the question. Think step by step.", "system prompt"),
        llm: LlmCall::builder(Arc::clone(&engine)).build(),
    };
    let loss = TextLoss::new(Arc::clone(&engine), "Say what is wrong with the answer.");
    let optimizer = TextualGradientDescent::builder(Arc::clone(&engine)).seed(Seed::new(1)).build();
    let questions = Dataset::new("questions", questions)?;
    let trainer =
        Trainer::builder(Arc::new(solver), Arc::new(loss), Arc::new(optimizer), questions);
    let mut trainer = trainer.batch_size(QUESTIONS).epochs(1);
    if setup.reduce {
        let reduction: Arc<dyn Reduce> = Arc::new(LlmReduce::new(engine));
        trainer = trainer.reduction(reduction);
    }
    let trainer = trainer.build()?;
    let cpu = ProcessTime::now();
    let training = trainer.run().await?;
    let cpu = cpu.elapsed().as_secs_f64();
    let requests = meter.snapshot().requests;
    if requests != setup.requests() {
        return Err(format!("expected {} requests, made {requests}", setup.requests()).into());
    }
    let seconds = training.steps.iter().map(|step| step.cost.seconds).sum();
    Ok((seconds, cpu))
}

/// Proposes as many texts as there are questions.
struct Many;

#[async_trait]
impl Optimizer for Many {
    fn needs_gradients(&self) -> bool {
        false
    }

    fn candidates(&self) -> usize {
        QUESTIONS
    }

    async fn propose(
        &self,
        parameters: &[Parameter],
        _: &Variable,
        _: &Gradients,
    ) -> Result<Proposal, textgrad_ops::Error> {
        let update = |parameter: &Parameter| {
            let text = |number| format!("{} Try {number}.", parameter.text());
            let candidate = |number| Variable::constant(text(number), "candidate");
            let candidates = (0..QUESTIONS).map(candidate).collect();
            let rewrite = Ok(UpdateOutcome { candidates, rejected: Vec::new() });
            ParameterUpdate { parameter: parameter.clone(), base: parameter.variable(), rewrite }
        };
        let updates = parameters.iter().map(update).collect();
        Ok(Proposal { updates, unchanged: Vec::new() })
    }
}

/// Measures 64 candidates on 64 examples, 64 calls at a time.
async fn evaluate() -> Result<(f64, f64), Box<dyn Error>> {
    let meter = Meter::default();
    let limits = Limits::default().concurrency(QUESTIONS as u32);
    let engine: Arc<dyn Engine> = Arc::new(engine().limit(limits).metered(&meter));
    let example = |number: usize| {
        Example::new(number.to_string()).with_field("question", format!("What is {number}?"))
    };
    let solver = Solver {
        system: Parameter::new("Answer the question.", "system prompt"),
        llm: LlmCall::builder(Arc::clone(&engine)).build(),
    };
    let loss = TextLoss::new(Arc::clone(&engine), "Say what is wrong with the answer.");
    let train = Dataset::new("train", [example(0)])?;
    let validation = Dataset::new("validation", (1..=QUESTIONS).map(example))?;
    let trainer = Trainer::builder(Arc::new(solver), Arc::new(loss), Arc::new(Many), train)
        .validation(validation)
        .evaluator(Arc::new(scorer_fn("length", |text: &str, _: &Example| Ok(text.len() as f64))))
        .epochs(1)
        .build()?;
    let cpu = ProcessTime::now();
    let training = trainer.run().await?;
    let cpu = cpu.elapsed().as_secs_f64();
    let (expected, requests) =
        ((QUESTIONS * (QUESTIONS + 1) + 2) as u64, meter.snapshot().requests);
    if requests != expected {
        return Err(format!("expected {expected} requests, made {requests}").into());
    }
    Ok((training.steps.iter().map(|step| step.cost.seconds).sum(), cpu))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("one optimization step over 64 questions, 50 ms a call, median of 7 runs");
    for setup in [
        Setup { name: "feedback summed", reduce: false, calls_at_once: None },
        Setup { name: "feedback merged by a model", reduce: true, calls_at_once: None },
        Setup { name: "merged, 16 calls at a time", reduce: true, calls_at_once: Some(16) },
    ] {
        let (mut ratios, mut cpus) = (Vec::new(), Vec::new());
        let least = setup.least().as_secs_f64();
        for _ in 0..RUNS {
            let (seconds, cpu) = run(&setup).await?;
            ratios.push(seconds / least);
            cpus.push(cpu);
        }
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        println!(
            "{:<30} {:>5.3} x its critical path of {least:.2} s (worst run {worst:.3} x), CPU {:.3} s",
            setup.name,
            figures::median(ratios),
            figures::median(cpus),
        );
    }
    // A prediction, its objective, and a wave for each candidate.
    let least = (LATENCY * (QUESTIONS as u32 + 2)).as_secs_f64();
    let (seconds, cpu) = evaluate().await?;
    println!(
        "{:<30} {:>5.3} x its critical path of {least:.2} s, CPU {cpu:.3} s (one run)",
        "64 candidates, 64 examples",
        seconds / least
    );
    Ok(())
}
