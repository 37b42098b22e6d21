//! Trains a system prompt on counting questions, as prompt optimization does it: minibatches, feedback on what
//! went wrong, a new prompt, and a validation set that decides whether it is kept.
//!
//! Run with
//! ```sh
//! cargo run -p textgrad-examples --bin prompt_optimization
//! ```
//! The model and the 200 questions are the embedded simulation's. The real task is a file of BIG-Bench Hard: `--
//! --engine ollama/llama3 --data object_counting.json --out runs/counting`. A run with `--out` can be stopped with
//! Ctrl-C, or killed, and continued with `--resume`, as if nothing had happened. `--method gepa` and others are
//! settings of the same trainer and optimizer; docs/methods.md says what differs from their sources.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use serde_json::json;
use textgrad_core::{Engine, Error, Members, Module, Parameter, Seed, Variable, truncate};
use textgrad_examples::{Failure, Options, announce, heading, quote};
use textgrad_ops::ScoreLoss;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::Meter;
use textgrad_ops::score::{Example, NumericMatch};
use textgrad_ops::sim::counting;
use textgrad_ops::train::{
    Acceptance, Benchmark, Dataset, EndReason, Population, Program, ProgressBars, Split,
    StepOutcome, Trainer, TrainerBuilder, Training,
};
use textgrad_ops::{
    CancellationToken, GraphOptimizer, LlmCall, Optimizer, TextualGradientDescent,
    TextualGradientDescentBuilder,
};

const BEAM: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

const FIRST_PROMPT: &str = "You will answer a reasoning question.";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// A task of BIG-Bench Hard with numbers as answers, such as object_counting.json: the first 50 examples
    /// train, the next 100 validate, the others test
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Keeps the run in this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continues the run in the folder
    #[arg(long, requires = "out")]
    resume: bool,
    /// How many steps there are at most
    #[arg(long, value_name = "NUMBER", default_value_t = 12)]
    steps: usize,
    /// What steps start from, what requests for a new prompt show and ask for, and what is kept
    #[arg(long, value_enum, default_value_t = Method::Textgrad)]
    method: Method,
}

/// Methods of prompt optimization.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Method {
    /// The last prompt, kept if it is not worse
    Textgrad,
    /// A prompt of the Pareto front over the validation examples, and a gate on the minibatch
    Gepa,
    /// The best four prompts in turn
    Protegi,
    /// At most four edits of the last prompt, kept if it is better; changes that were turned down are shown
    Skillopt,
    /// The feedback of all steps since the prompt last got better
    FeedbackDescent,
    /// One request that shows the whole run and its objective, in place of feedback on each example; needs --engine
    Graph,
}

impl Method {
    fn optimizer(self, builder: TextualGradientDescentBuilder) -> TextualGradientDescentBuilder {
        match self {
            Self::Skillopt => builder.edits(4).rejected_memory(8),
            Self::FeedbackDescent => builder.gradient_memory(16).reset_on_acceptance(true),
            Self::Textgrad | Self::Gepa | Self::Protegi | Self::Graph => builder,
        }
    }

    fn trainer(self, builder: TrainerBuilder) -> TrainerBuilder {
        match self {
            Self::Gepa => builder.population(Population::Pareto).minibatch_gate(true),
            Self::Protegi => builder.population(Population::Beam(BEAM)),
            Self::Skillopt | Self::FeedbackDescent => builder.acceptance(Acceptance::Better),
            Self::Textgrad | Self::Graph => builder,
        }
    }
}

/// The program that is trained: one call, whose system prompt may change.
struct Counter {
    system: Parameter,
    llm: LlmCall,
}

impl Module for Counter {
    fn members(&self) -> Members<'_> {
        vec![("system".into(), (&self.system).into())]
    }
}

#[async_trait]
impl Program for Counter {
    async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error> {
        let question = Variable::constant(
            example.text("question")?,
            "question that has a number for an answer",
        );
        self.llm.ask(&question).system(&self.system).seed(seed).one().await
    }
}

/// Where a run is kept.
enum Place {
    Nowhere,
    New(PathBuf),
    Resume(PathBuf),
}

async fn optimize(
    engine: Arc<dyn Engine>,
    split: Split,
    (steps, method): (usize, Method),
    seed: Seed,
    place: Place,
    stop: &CancellationToken,
) -> Result<Training, Failure> {
    let meter = Meter::default();
    let name = engine.name().to_owned();
    let engine: Arc<dyn Engine> = Arc::new(engine.metered(&meter));
    let counter = Counter {
        system: Parameter::builder(FIRST_PROMPT, "system prompt of a model that answers questions")
            .constraint("At most 100 words. It must serve any question of the kind.")
            .build(),
        llm: LlmCall::builder(Arc::clone(&engine)).build(),
    };
    // The answer is right if its last number is.
    let evaluator = Arc::new(NumericMatch::big_bench_hard());
    let loss = ScoreLoss::new(evaluator.clone())
        .purpose("says 1 if the last number of the answer is the right one, else 0")
        .feedback_engine(Arc::clone(&engine));
    let optimizer: Arc<dyn Optimizer> = match method {
        Method::Graph if engine.is_simulation() => {
            return Err(Failure::new(
                "expected --engine with --method graph: the simulation does not answer requests for a whole graph",
            ));
        }
        Method::Graph => Arc::new(GraphOptimizer::builder(engine).seed(seed).build()),
        _ => {
            let builder = TextualGradientDescent::builder(engine).seed(seed);
            Arc::new(method.optimizer(builder).build())
        }
    };
    let trainer = Trainer::builder(Arc::new(counter), Arc::new(loss), optimizer, split.train)
        .validation(split.validation)
        .test(split.test)
        .evaluator(evaluator)
        .steps_per_epoch(steps.div_ceil(Trainer::DEFAULT_EPOCHS))
        .seed(seed)
        .meter(&meter)
        .observer(Arc::new(ProgressBars::new()))
        .stop(stop)
        // A run is not continued with another model.
        .setting("engine", name);
    let trainer = method.trainer(trainer);
    let trainer = match place {
        Place::Nowhere => trainer,
        Place::New(folder) => trainer.create(folder),
        Place::Resume(folder) => trainer.resume(folder),
    };
    Ok(trainer.build()?.run().await?)
}

/// Questions of the simulation, in the format of BIG-Bench Hard.
fn questions(count: usize, seed: u64) -> String {
    let examples: Vec<_> = counting::questions(count, seed)
        .into_iter()
        .map(|(input, target)| json!({ "input": input, "target": target }))
        .collect();
    json!({ "examples": examples }).to_string()
}

async fn data(arguments: &Arguments) -> Result<Dataset, Failure> {
    Ok(match &arguments.data {
        Some(path) => Benchmark::BigBenchHard.read(path).await?,
        None => {
            let text = questions(200, arguments.options.seed);
            Benchmark::BigBenchHard.parse("simulated_counting.json", &text)?
        }
    })
}

fn report(training: &Training) {
    heading("validation, by step");
    let bar = |score: f64| "#".repeat((score * 40.0).round() as usize);
    if let Some(first) = training.baseline.as_ref().and_then(|baseline| baseline.validation) {
        println!("{:>4}  {:.2}  {:<40}  the first prompt", 0, first.score, bar(first.score));
    }
    for step in &training.steps {
        let validation = step.validation.map(|validation| validation.score);
        let outcome = match step.outcome {
            StepOutcome::Accepted => "kept",
            StepOutcome::Reverted if validation.is_none() => "not better on the minibatch",
            StepOutcome::Reverted => "not as good: taken back",
            StepOutcome::Unchanged => "no change",
            StepOutcome::Failed => "no new prompt could be had",
        };
        let score = validation.map_or("   -".to_owned(), |score| format!("{score:.2}"));
        println!("{:>4}  {score}  {:<40}  {outcome}", step.step, bar(validation.unwrap_or(0.0)));
    }
    heading(&format!("the best prompt, of step {}", training.best_step));
    println!("{}", quote(training.best.get("system").unwrap_or_default()));
    if let Some(test) = training.test {
        println!("\ntest: {:.2} of {} questions", test.score, test.examples);
    }
    let requests: u64 = training.steps.iter().filter_map(|step| step.cost.requests).sum();
    let ended = match training.ended {
        Some(EndReason::Completed) => "all steps were made",
        Some(EndReason::Stopped) => "it was asked to stop",
        Some(EndReason::Budget) => "the budget was used up",
        _ => "it was good enough, or did not get better",
    };
    println!(
        "{} steps, {requests} requests in them; it ended because {ended}",
        training.steps.len()
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let stop = CancellationToken::new();
    let engine = arguments.options.connect_until(&stop)?;
    announce(&*engine);
    let data = data(&arguments).await?;
    let split = Split::big_bench_hard(&data)?;
    println!(
        "{} examples: {} train, {} validate, {} test; the first question:",
        data.len(),
        split.train.len(),
        split.validation.len(),
        split.test.len()
    );
    let first = split.train.get(0).and_then(|example| example.field("question"));
    println!("{}", quote(&truncate(first.unwrap_or_default(), 300)));

    let heard = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!(
                "stopping: waiting for the calls that are under way (Ctrl-C again to drop them)"
            );
            heard.cancel();
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        }
    });
    let place = match (arguments.out.clone(), arguments.resume) {
        (None, _) => Place::Nowhere,
        (Some(folder), false) => Place::New(folder),
        (Some(folder), true) => Place::Resume(folder),
    };
    let seed = arguments.options.seed();
    let settings = (arguments.steps, arguments.method);
    let training = optimize(engine, split, settings, seed, place, &stop).await?;
    report(&training);
    if let Some(folder) = arguments.out {
        println!("all of it is in {}: history.jsonl has a line for each step", folder.display());
        if training.ended == Some(EndReason::Stopped) {
            println!("the same command with --resume goes on");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use textgrad_ops::sim::Sim;

    use super::*;

    fn split() -> Split {
        let data = Benchmark::BigBenchHard.parse("questions.json", questions(100, 7)).unwrap();
        data.split_counts(20, 50).unwrap()
    }

    async fn run(
        method: Method,
        place: Place,
        stop: CancellationToken,
    ) -> Result<Training, Failure> {
        let engine: Arc<dyn Engine> = Arc::new(Sim::default());
        optimize(engine, split(), (6, method), Seed::new(Options::SEED), place, &stop).await
    }

    #[tokio::test]
    async fn each_method_makes_the_prompt_better() {
        let graph = run(Method::Graph, Place::Nowhere, CancellationToken::new()).await;
        assert!(graph.is_err_and(|error| format!("{error:?}").contains("expected --engine")));
        for method in Method::value_variants().iter().filter(|method| **method != Method::Graph) {
            let training = run(*method, Place::Nowhere, CancellationToken::new()).await.unwrap();
            let first = training.baseline.as_ref().unwrap().validation.unwrap().score;
            assert!(training.score.unwrap() > first, "{:?}", training.curve());
        }
    }

    /// The simulation, but for the requests of a whole graph: each asks for one more technique.
    #[tokio::test]
    async fn a_whole_graph_is_shown_to_one_request_of_each_step() {
        let engine =
            textgrad_core::engine_fn("stub", |request: textgrad_core::Request| async move {
                if request.purpose != textgrad_core::Purpose::Update {
                    return Sim::default().complete(&request).await;
                }
                let shown: String =
                    request.messages.iter().map(textgrad_core::Message::text).collect();
                assert!(shown.contains("<PROGRAM>") && shown.contains(FIRST_PROMPT), "{shown}");
                let (_, named) = shown.rsplit_once("JSON object of some of \"").unwrap();
                let name = named.split('"').next().unwrap();
                let texts =
                    json!({ name: format!("{FIRST_PROMPT} List every item. Check the sum.") });
                let reply = format!("<NEW_TEXTS>\n{texts}\n</NEW_TEXTS>");
                Ok(textgrad_core::Response::new(vec![textgrad_core::Choice::new(
                    reply,
                    textgrad_core::FinishReason::Stop,
                )]))
            });
        let seed = Seed::new(Options::SEED);
        let stop = CancellationToken::new();
        let training =
            optimize(Arc::new(engine), split(), (1, Method::Graph), seed, Place::Nowhere, &stop);
        let training = training.await.unwrap();
        let step = &training.steps[0];
        let proposed = step.proposed.get("system").unwrap_or_else(|| panic!("{step:?}"));
        assert!(proposed.ends_with("Check the sum."), "{proposed}");
    }

    #[tokio::test]
    async fn the_prompt_gets_better_and_a_stopped_run_goes_on() {
        let run = |place, stop| run(Method::Textgrad, place, stop);
        let whole = run(Place::Nowhere, CancellationToken::new()).await.unwrap();
        let first = whole.baseline.as_ref().unwrap().validation.unwrap().score;
        assert!(whole.score.unwrap() > first + 0.05, "{:?}", whole.curve());
        assert!(whole.test.is_some());

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let stop = CancellationToken::new();
        stop.cancel();
        let stopped = run(Place::New(path.clone()), stop).await.unwrap();
        assert_eq!(stopped.ended, Some(EndReason::Stopped));
        assert!(
            run(Place::New(path.clone()), CancellationToken::new()).await.is_err(),
            "it holds a run"
        );
        let resumed = run(Place::Resume(path), CancellationToken::new()).await.unwrap();
        assert_eq!(resumed.curve(), whole.curve());
        assert_eq!(resumed.best, whole.best);
    }
}
