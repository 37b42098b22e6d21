//! The file, the model and the training.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use textgrad_core::{Engine, EngineError, EngineInfo, Parameter, Purpose, Request, Response, Seed};
use textgrad_ops::ScoreLoss;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::Limits;
use textgrad_ops::score::NumericMatch;
use textgrad_ops::sim::{Sim, counting};
use textgrad_ops::store::request_key;
use textgrad_ops::train::{Benchmark, Split, Trainer, TrainerBuilder};
use textgrad_ops::{LlmCall, Optimizer, SampledMomentum, TextualGradientDescent};

use crate::train::support::Solver;

pub(super) const PLAIN: &str = "You will answer a reasoning question. Think step by step. The last line of \
    your response should have the form 'Answer: VALUE', where VALUE is a number.";
const EXAMPLES: usize = 200;

/// The optimizer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Descent,
    /// With gradient memory and momentum.
    Memory,
    Sampled,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Descent, Self::Memory, Self::Sampled];

    fn optimizer(self, engine: Arc<dyn Engine>) -> Arc<dyn Optimizer> {
        let descent = TextualGradientDescent::builder(engine).seed(Seed::new(3));
        match self {
            Self::Descent => Arc::new(descent.build()),
            Self::Memory => Arc::new(descent.gradient_memory(2).momentum(2).build()),
            Self::Sampled => {
                Arc::new(SampledMomentum::builder(descent.build(), Seed::new(3)).build().unwrap())
            }
        }
    }
}

/// The simulation, each answer after a time of its own, so that answers come in another order than questions.
pub(super) struct Model {
    sim: Sim,
    /// From this call on nothing is answered.
    hangs_at: usize,
    calls: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    hung: tokio::sync::Notify,
    /// Is told the number of each call.
    watch: fn(usize),
}

impl Model {
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub(super) fn asked(&self, purpose: Purpose) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.purpose == purpose).cloned().collect()
    }

    pub(super) async fn hung(&self) {
        self.hung.notified().await;
    }
}

#[async_trait]
impl Engine for Model {
    fn info(&self) -> &EngineInfo {
        self.sim.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        (self.watch)(call);
        if call >= self.hangs_at {
            self.hung.notify_one();
            std::future::pending::<()>().await;
        }
        self.requests.lock().unwrap().push(request.clone());
        let now = 1 + self.under_way.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(now, Ordering::SeqCst);
        let wait = 1 + request_key("sim", request).seed().value() % 50;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let response = self.sim.complete(request).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        response
    }
}

/// A program whose prompt is to be trained, its model and its data.
pub(super) struct Setup {
    pub(super) model: Arc<Model>,
    engine: Arc<dyn Engine>,
    solver: Arc<Solver>,
    optimizer: Arc<dyn Optimizer>,
    split: Split,
}

impl Setup {
    pub(super) async fn new(way: Way, concurrency: u32) -> Self {
        Self::hanging(way, concurrency, usize::MAX, |_| ()).await
    }

    pub(super) async fn hanging(
        way: Way,
        concurrency: u32,
        hangs_at: usize,
        watch: fn(usize),
    ) -> Self {
        let sim = Sim::builder().skill(0.8).build().unwrap();
        let model = Arc::new(Model {
            sim,
            hangs_at,
            watch,
            calls: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            requests: Mutex::default(),
            hung: tokio::sync::Notify::new(),
        });
        let limits = Limits::default().concurrency(concurrency);
        let engine: Arc<dyn Engine> = Arc::new(Arc::clone(&model).limit(limits));
        let solver = Arc::new(Solver {
            system: Parameter::new(PLAIN, "system prompt of a model that answers questions"),
            llm: LlmCall::builder(Arc::clone(&engine)).build(),
        });
        let optimizer = way.optimizer(Arc::clone(&engine));
        Self { model, engine, solver, optimizer, split: data().await }
    }

    /// Ten steps on minibatches of five. The seed is one with which each optimizer proposes worse texts too.
    pub(super) fn trainer(&self, change: impl FnOnce(TrainerBuilder) -> TrainerBuilder) -> Trainer {
        let evaluator = Arc::new(NumericMatch::big_bench_hard());
        let purpose = "says whether the last number of the answer is the expected one";
        let loss = ScoreLoss::new(evaluator.clone())
            .purpose(purpose)
            .feedback_engine(Arc::clone(&self.engine));
        let trainer = Trainer::builder(
            self.solver.clone(),
            Arc::new(loss.errors_only(true)),
            Arc::clone(&self.optimizer),
            self.split.train.clone(),
        );
        let trainer = trainer
            .evaluator(evaluator)
            .validation(self.split.validation.clone())
            .test(self.split.test.clone())
            .batch_size(5)
            .epochs(1)
            .seed(Seed::new(2));
        change(trainer).build().unwrap()
    }

    pub(super) fn prompt(&self) -> String {
        self.solver.system.text().to_string()
    }
}

/// A task in the format of BIG-Bench Hard, written and read.
async fn data() -> Split {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("object_counting.json");
    let questions = counting::questions(EXAMPLES, 7).into_iter();
    let examples: Vec<_> =
        questions.map(|(input, target)| json!({ "input": input, "target": target })).collect();
    std::fs::write(&path, json!({ "canary": "none", "examples": examples }).to_string()).unwrap();
    let task = Benchmark::BigBenchHard.read(&path).await.unwrap();
    assert_eq!(task.len(), EXAMPLES);
    let split = Split::big_bench_hard(&task).unwrap();
    let sizes = (split.train.len(), split.validation.len(), split.test.len());
    assert_eq!(sizes, (50, 100, 50));
    split
}

/// All that a request says.
pub(super) fn texts(request: &Request) -> String {
    request.messages.iter().map(|message| message.text()).collect::<Vec<_>>().join("\n\n")
}
