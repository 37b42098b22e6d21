//! A small model whose answers depend on phrases in its system prompt, and a program that asks it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;
use textgrad_core::{
    Choice, Engine, EngineError, EngineInfo, Error, ErrorKind, FinishReason, Gradients, Members,
    Module, Parameter, Purpose, Request, Response, Seed, Variable,
};
use textgrad_ops::ScoreLoss;
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::Limits;
use textgrad_ops::score::{Example, NumericMatch, Scorer, Verdict};
use textgrad_ops::store::request_key;
use textgrad_ops::train::{Dataset, Program, Trainer, TrainerBuilder, Training};
use textgrad_ops::{
    LlmCall, Optimizer, ParameterUpdate, Proposal, ProposalOutcome, TextualGradientDescent,
};

pub(crate) const START: &str = "Answer the question.";
pub(crate) const GOOD: [&str; 3] = ["Think step by step.", "Count twice.", "Write digits."];
pub(crate) const BAD: [&str; 2] = ["Guess quickly.", "Be playful."];

/// What happens at a call.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    None,
    /// From this call on nothing is answered.
    HangsAt(usize),
    /// From this call on the budget is used up.
    BudgetAt(usize),
    /// Questions with this number fail so many times, and are answered from then on.
    Down {
        number: usize,
        times: usize,
        kind: ErrorKind,
    },
}

/// The model. Every answer is a function of the request alone, and takes a time of its own.
pub(crate) struct Model {
    fault: Fault,
    calls: AtomicUsize,
    failed: AtomicUsize,
    /// What an update answers, instead of adding a phrase.
    update: Option<fn(&str) -> String>,
    requests: Mutex<Vec<Request>>,
    hung: tokio::sync::Notify,
}

impl Model {
    pub(crate) fn new(fault: Fault) -> Arc<Self> {
        Self::updating(fault, None)
    }

    pub(crate) fn updating(fault: Fault, update: Option<fn(&str) -> String>) -> Arc<Self> {
        let (calls, failed, requests, hung) = Default::default();
        Arc::new(Self { fault, calls, failed, update, requests, hung })
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn asked(&self, purpose: Purpose) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.purpose == purpose).cloned().collect()
    }

    /// Waits until a call hangs.
    pub(crate) async fn hung(&self) {
        self.hung.notified().await;
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} in {text}")).0
}

fn predict(request: &Request) -> String {
    let (system, question) = (request.messages[0].text(), request.messages[1].text());
    let has = |phrases: &[&str]| phrases.iter().filter(|phrase| system.contains(**phrase)).count();
    let skill = 3 + 2 * has(&GOOD) as i64 - 2 * has(&BAD) as i64;
    // The draw depends on the question and on the seed of its place, never on the system prompt.
    let seed = request.sampling.seed.expect("every request has a seed");
    let number: i64 = question.trim_end_matches('?').rsplit(' ').next().unwrap().parse().unwrap();
    let draw = (Seed::new(seed).child("draw", number.unsigned_abs()).value() % 10) as i64;
    let answer = if draw < skill { number } else { number + 1 };
    format!("The answer is {answer}.")
}

fn improve(request: &Request) -> String {
    let text = request.messages[1].text();
    let old = between(&text, "<VARIABLE>\n", "\n</VARIABLE>");
    let seed = request.sampling.seed.expect("every request has a seed");
    let phrases = [GOOD.as_slice(), BAD.as_slice()].concat();
    let phrase = phrases[(seed % 5) as usize];
    if old.contains(phrase) { old.to_owned() } else { format!("{old} {phrase}") }
}

#[async_trait]
impl Engine for Model {
    fn info(&self) -> &EngineInfo {
        static INFO: EngineInfo = EngineInfo::from_static("model");
        &INFO
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::HangsAt(at) if call >= at => {
                self.hung.notify_one();
                std::future::pending::<()>().await;
            }
            Fault::BudgetAt(at) if call >= at => {
                return Err(EngineError::new(ErrorKind::Budget, "the budget is used up"));
            }
            Fault::Down { number, times, kind }
                if request.purpose == Purpose::Forward
                    && request.messages[1].text() == format!("What is {number}?") =>
            {
                let failed = self.failed.fetch_add(1, Ordering::SeqCst);
                if failed < times {
                    return Err(EngineError::new(kind, "the server is down"));
                }
            }
            _ => {}
        }
        self.requests.lock().unwrap().push(request.clone());
        let key = request_key("model", request).seed();
        tokio::time::sleep(Duration::from_millis(1 + key.value() % 50)).await;
        if request.messages.last().unwrap().text().contains("broken") {
            return Err(EngineError::new(ErrorKind::InvalidRequest, "no such question"));
        }
        let text = match request.purpose {
            Purpose::Forward => predict(request),
            Purpose::Update => {
                let text = request.messages[1].text();
                let old = between(&text, "<VARIABLE>\n", "\n</VARIABLE>");
                match self.update {
                    Some(update) => update(old),
                    None => tagged(&improve(request)),
                }
            }
            purpose => format!("{purpose} {}", key.value() % 1000),
        };
        Ok(Response::new(vec![Choice::new(text, FinishReason::Stop)]))
    }
}

pub(crate) fn tagged(text: &str) -> String {
    format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>")
}

/// What an optimizer says about one parameter: these texts, whatever the feedback.
pub(crate) fn proposing(
    parameter: &Parameter,
    texts: impl IntoIterator<Item = String>,
) -> ParameterUpdate {
    ParameterUpdate::new(parameter, texts)
}

pub(crate) struct Solver {
    pub(crate) system: Parameter,
    pub(crate) llm: LlmCall,
}

impl Module for Solver {
    fn members(&self) -> Members<'_> {
        vec![("system".into(), (&self.system).into())]
    }
}

#[async_trait]
impl Program for Solver {
    async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error> {
        let question = Variable::constant(example.text("question")?, "question");
        assert!(!question.text().unwrap().contains("panic"), "a panic of the program's own");
        self.llm.ask(&question).system(&self.system).seed(seed).one().await
    }
}

/// An optimizer whose proposals depend on how many of them were taken back.
pub(crate) struct Remembering {
    engine: Arc<dyn Engine>,
    rejected: Mutex<Vec<f64>>,
}

impl Remembering {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, rejected: Mutex::default() }
    }
}

#[async_trait]
impl Optimizer for Remembering {
    async fn propose(
        &self,
        parameters: &[Parameter],
        _: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, textgrad_ops::Error> {
        let memory = format!("{:?}", self.rejected.lock().unwrap());
        let descent = TextualGradientDescent::builder(Arc::clone(&self.engine));
        let descent = descent.constraint(memory).seed(Seed::new(5)).build();
        descent.propose_updates(parameters, gradients).await
    }

    fn report(&self, _: &Proposal, outcome: ProposalOutcome) {
        if !outcome.accepted {
            let score = outcome.score.map_or(-1.0, textgrad_core::Score::as_f64);
            self.rejected.lock().unwrap().push(score);
        }
    }

    fn state_dict(&self) -> Json {
        serde_json::json!(*self.rejected.lock().unwrap())
    }

    fn load_state_dict(&self, _: &[Parameter], state: &Json) -> Result<(), textgrad_ops::Error> {
        *self.rejected.lock().unwrap() = serde_json::from_value(state.clone()).unwrap();
        Ok(())
    }
}

pub(crate) fn data(name: &str, from: usize, count: usize) -> Dataset {
    let example = |number: usize| {
        Example::new(number.to_string())
            .with_field("question", format!("What is {number}?"))
            .with_expected(number.to_string())
    };
    Dataset::new(name.to_owned(), (from..from + count).map(example)).unwrap()
}

/// A program, and the settings of its training.
pub(crate) struct Setup {
    pub(crate) model: Arc<Model>,
    pub(crate) solver: Arc<Solver>,
    pub(crate) trainer: TrainerBuilder,
}

/// Ten training examples in minibatches of three, two epochs, twenty validation examples.
pub(crate) fn setup(fault: Fault) -> Setup {
    setup_of(Model::new(fault), 32, data("train", 0, 10))
}

pub(crate) fn setup_of(model: Arc<Model>, concurrency: u32, train: Dataset) -> Setup {
    let limits = Limits::default().concurrency(concurrency);
    let engine: Arc<dyn Engine> = Arc::new(Arc::clone(&model).limit(limits));
    let solver = Arc::new(Solver {
        system: Parameter::new(START, "system prompt"),
        llm: LlmCall::builder(engine.clone()).build(),
    });
    let evaluator = Arc::new(NumericMatch::new());
    let loss = ScoreLoss::new(evaluator.clone())
        .purpose("says whether it is right")
        .feedback_engine(engine.clone());
    let optimizer = Arc::new(Remembering::new(engine));
    let trainer = Trainer::builder(solver.clone(), Arc::new(loss), optimizer, train)
        .evaluator(evaluator)
        .validation(data("validation", 100, 20))
        .epochs(2)
        .seed(Seed::new(11));
    Setup { model, solver, trainer }
}

impl Setup {
    pub(crate) async fn run(self) -> Training {
        self.trainer.build().unwrap().run().await.unwrap()
    }

    pub(crate) fn with(self, change: impl FnOnce(TrainerBuilder) -> TrainerBuilder) -> Self {
        Self { trainer: change(self.trainer), ..self }
    }
}

/// A training without what the clock decides.
pub(crate) fn timeless(training: &Training) -> Training {
    let mut training = training.clone();
    if let Some(baseline) = &mut training.baseline {
        baseline.cost = Default::default();
    }
    for step in &mut training.steps {
        step.cost = Default::default();
    }
    training
}

/// The files of a run folder by name, without what the clock decides.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut text = std::fs::read_to_string(&path).unwrap();
        if name == "history.jsonl" {
            let lines = text.lines().map(|line| {
                let mut line: Json = serde_json::from_str(line).unwrap();
                line.as_object_mut().unwrap().remove("cost").expect("every line has its cost");
                line.to_string()
            });
            text = lines.collect::<Vec<_>>().join("\n");
        }
        files.insert(name, text);
    }
    files
}

/// An evaluator that asks a judge, which is down for some of the verdicts on one example.
pub(crate) struct Late {
    from: usize,
    times: usize,
    verdicts: AtomicUsize,
}

impl Late {
    /// After so many verdicts it fails so many times.
    pub(crate) fn new(from: usize, times: usize) -> Self {
        Self { from, times, verdicts: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Scorer for Late {
    fn name(&self) -> &str {
        "numeric match"
    }

    async fn score(&self, prediction: &str, example: &Example) -> Result<Verdict, Error> {
        if example.id() == "103" {
            let verdict = self.verdicts.fetch_add(1, Ordering::SeqCst);
            if (self.from..self.from + self.times).contains(&verdict) {
                return Err(EngineError::new(ErrorKind::Server, "the judge is down").into());
            }
        }
        NumericMatch::new().score(prediction, example).await
    }
}

/// The full name of a test, as the test program's filter expects it, from the `module_path!()` of its module.
pub(crate) fn test_name(module: &str, test: &str) -> String {
    let (_, module) = module.split_once("::").unwrap();
    format!("{module}::{test}")
}
