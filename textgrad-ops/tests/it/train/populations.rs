//! Trainings that keep several texts: Pareto front, beam, gate, halving, merges.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    Choice, Engine, EngineError, Error, FinishReason, Gradients, Members, Module, Parameter,
    Purpose, Request, Response, Seed, Variable, engine_fn,
};
use textgrad_ops::score::{Example, NumericMatch};
use textgrad_ops::train::{
    EndReason, Population, Program, StepOutcome, Trainer, TrainerBuilder, Training,
};
use textgrad_ops::{LlmCall, Optimizer, Proposal, ScoreLoss, TextualGradientDescent};

use crate::train::support::{
    BAD, Fault, GOOD, Model, Setup, data, files, proposing, setup, setup_of, timeless,
};

fn pareto(trainer: TrainerBuilder) -> TrainerBuilder {
    trainer.population(Population::Pareto).minibatch_gate(true)
}

fn beam(width: usize) -> Population {
    Population::Beam(NonZeroUsize::new(width).unwrap())
}

/// What must hold of every step: its outcome and its parents.
fn check(training: &Training) {
    let mut scores = vec![training.baseline.as_ref().unwrap().validation.unwrap().score];
    for step in &training.steps {
        if step.outcome == StepOutcome::Accepted {
            assert!(step.parents.iter().all(|parent| *parent < scores.len()), "{step:?}");
            assert!(!step.parents.is_empty(), "{step:?}");
            scores.push(step.validation.unwrap().score);
            assert_eq!(step.score, scores.last().copied());
        } else {
            assert!(step.parents.is_empty() && scores.contains(&step.score.unwrap()), "{step:?}");
        }
    }
    let best = scores.iter().copied().fold(f64::MIN, f64::max);
    assert_eq!(training.score, Some(best));
}

#[tokio::test(start_paused = true)]
async fn a_front_passes_the_gate_only_with_texts_that_are_better_on_the_minibatch() {
    let training = setup(Fault::None).with(|t| pareto(t).epochs(4)).run().await;
    check(&training);
    let outcomes: Vec<StepOutcome> = training.steps.iter().map(|step| step.outcome).collect();
    assert!(outcomes.contains(&StepOutcome::Accepted), "{outcomes:?}");
    assert!(outcomes.contains(&StepOutcome::Reverted), "{outcomes:?}");
    for step in &training.steps {
        // What does not pass costs no validation.
        assert_eq!(step.validation.is_some(), step.outcome != StepOutcome::Reverted, "{step:?}");
        if step.outcome == StepOutcome::Reverted {
            assert!(step.reason.as_ref().unwrap().starts_with("the minibatch scored"), "{step:?}");
        }
    }
    assert!(training.score > training.baseline.as_ref().unwrap().validation.map(|one| one.score));
    let parents: Vec<usize> = training.steps.iter().flat_map(|step| step.parents.clone()).collect();
    assert!(parents.iter().any(|parent| *parent > 0), "not all come from the first: {parents:?}");
}

#[tokio::test(start_paused = true)]
async fn concurrency_changes_nothing() {
    let run = |concurrency| {
        let setup = setup_of(Model::new(Fault::None), concurrency, data("train", 0, 10));
        setup.with(|t| pareto(t).merges(2)).run()
    };
    assert_eq!(timeless(&run(1).await), timeless(&run(32).await));
}

/// The front, and a beam whose optimizer remembers what was rejected.
#[tokio::test(start_paused = true)]
async fn killed_at_any_call_and_resumed_it_is_the_same() {
    for population in [Population::Pareto, beam(2)] {
        let small = |fault| {
            setup(fault).with(|t| {
                let t = t.validation(data("validation", 100, 6)).epochs(1);
                t.population(population).minibatch_gate(population == Population::Pareto)
            })
        };
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("whole");
        let setup: Setup = small(Fault::None).with(|t| t.create(&whole));
        let model = Arc::clone(&setup.model);
        let training = setup.run().await;
        check(&training);
        for call in (0..model.calls()).step_by(5) {
            let path = folder.path().join(call.to_string());
            let setup = small(Fault::HangsAt(call)).with(|t| t.create(&path));
            let model = Arc::clone(&setup.model);
            let run = tokio::spawn(setup.run());
            model.hung().await;
            run.abort();
            let _ = run.await;
            let resumed = resume(&small, &path).await;
            assert_eq!(timeless(&resumed), timeless(&training), "killed at call {call}");
            assert_eq!(files(&path), files(&whole));
        }
    }
}

async fn resume(small: &impl Fn(Fault) -> Setup, folder: &Path) -> Training {
    loop {
        let trainer = small(Fault::None).with(|t| t.resume(folder)).trainer.build().unwrap();
        match trainer.run().await {
            Err(failure) if matches!(failure.error, textgrad_ops::Error::RunLocked { .. }) => {
                tokio::task::yield_now().await;
            }
            other => return other.unwrap(),
        }
    }
}

/// Proposes to add each phrase that a text lacks.
struct EachPhrase;

#[async_trait]
impl Optimizer for EachPhrase {
    fn needs_gradients(&self) -> bool {
        false
    }

    fn candidates(&self) -> usize {
        GOOD.len() + BAD.len()
    }

    async fn propose(
        &self,
        parameters: &[Parameter],
        _: &Variable,
        _: &Gradients,
    ) -> Result<Proposal, textgrad_ops::Error> {
        let update = |parameter: &Parameter| {
            let own = parameter.text();
            let phrases = BAD.iter().chain(&GOOD).filter(|phrase| !own.contains(**phrase));
            proposing(parameter, phrases.map(|phrase| format!("{own} {phrase}")))
        };
        let updates = parameters.iter().map(update).collect();
        Ok(Proposal { updates, unchanged: Vec::new() })
    }
}

/// A beam of two, and several candidates in each step.
async fn with_candidates(halving: bool) -> (Training, usize) {
    let mut setup = setup(Fault::None);
    let (solver, evaluator) = (Arc::clone(&setup.solver), Arc::new(NumericMatch::new()));
    let loss = ScoreLoss::new(evaluator.clone())
        .purpose("says whether it is right")
        .feedback_engine(setup.model.clone());
    let trainer =
        Trainer::builder(solver, Arc::new(loss), Arc::new(EachPhrase), data("train", 0, 10));
    setup.trainer = trainer
        .evaluator(evaluator)
        .validation(data("validation", 100, 20))
        .seed(Seed::new(11))
        .epochs(2)
        .population(beam(2))
        .successive_halving(halving);
    let model = Arc::clone(&setup.model);
    let training = setup.run().await;
    (training, model.asked(Purpose::Forward).len())
}

#[tokio::test(start_paused = true)]
async fn halving_measures_most_candidates_on_few_examples() {
    let ((all, asked), (halved, asked_halved)) =
        (with_candidates(false).await, with_candidates(true).await);
    for training in [&all, &halved] {
        assert_eq!(training.ended, Some(EndReason::Completed));
        assert!(training.score > training.baseline.as_ref().unwrap().validation.map(|b| b.score));
    }
    assert!(asked_halved * 10 < asked * 8, "{asked_halved} of {asked} predictions");
}

/// Two texts: one says which digit, the other which sign. Each is right for half of the questions.
struct Pair {
    digit: Parameter,
    sign: Parameter,
    llm: LlmCall,
}

impl Module for Pair {
    fn members(&self) -> Members<'_> {
        vec![("digit".into(), (&self.digit).into()), ("sign".into(), (&self.sign).into())]
    }
}

#[async_trait]
impl Program for Pair {
    async fn forward(&self, example: &Example, seed: Seed) -> Result<Variable, Error> {
        // Even questions are about the digit, odd ones about the sign.
        let text = example.text("question")?;
        let number: u64 = text.trim_end_matches('?').rsplit(' ').next().unwrap().parse().unwrap();
        let part = if number.is_multiple_of(2) { &self.digit } else { &self.sign };
        let question = Variable::constant(text, "question");
        self.llm.ask(&question).system(part).seed(seed).one().await
    }
}

/// A model whose answers are right if its prompt says "exactly". Its updates add that word.
fn model() -> Arc<dyn Engine> {
    Arc::new(engine_fn("model", |request: Request| async move {
        let text = match request.purpose {
            Purpose::Forward => {
                let number = request.messages[1].text();
                let number = number.trim_end_matches('?').rsplit(' ').next().unwrap().to_owned();
                // One question is only answered without it, so that the first texts stay on the front.
                let is_right = request.messages[0].text().contains("exactly") != (number == "104");
                if is_right { format!("It is {number}.") } else { "It is 0.".to_owned() }
            }
            Purpose::Update => {
                "<IMPROVED_VARIABLE>\nAnswer exactly.\n</IMPROVED_VARIABLE>".to_owned()
            }
            _ => "Be exact.".to_owned(),
        };
        Ok::<_, EngineError>(Response::new(vec![Choice::new(text, FinishReason::Stop)]))
    }))
}

#[tokio::test(start_paused = true)]
async fn two_members_that_each_improved_one_text_are_merged() {
    let run = |merges: usize| async move {
        let (engine, evaluator) = (model(), Arc::new(NumericMatch::new()));
        let pair = Pair {
            digit: Parameter::new("Answer.", "prompt for digits"),
            sign: Parameter::new("Answer.", "prompt for signs"),
            llm: LlmCall::builder(engine.clone()).build(),
        };
        let loss =
            ScoreLoss::new(evaluator.clone()).purpose("is right").feedback_engine(engine.clone());
        let optimizer = TextualGradientDescent::builder(engine).build();
        let trainer =
            Trainer::builder(Arc::new(pair), Arc::new(loss), Arc::new(optimizer), data("t", 1, 12))
                .evaluator(evaluator)
                .validation(data("v", 101, 10))
                .batch_size(1)
                .epochs(1)
                .errors_only(true)
                .seed(Seed::new(4));
        pareto(trainer).merges(merges).build().unwrap().run().await.unwrap()
    };
    let merged = run(1).await;
    check(&merged);
    let merge = merged.steps.iter().find(|step| step.parents.len() == 2).expect("a merge");
    assert!(merge.examples.is_empty() && merge.reason.as_ref().unwrap().starts_with("a merge of"));
    assert_eq!(merge.validation.map(|one| one.score), Some(0.9));
    assert!(merged.best.iter().all(|(_, text)| text == "Answer exactly."));
    assert_eq!(merged.steps.iter().filter(|step| step.parents.len() == 2).count(), 1);
    let without = run(0).await;
    assert!(without.steps.iter().all(|step| step.parents.len() < 2));
}

#[test]
fn populations_name_what_they_lack() {
    let refused = |change: fn(TrainerBuilder) -> TrainerBuilder| {
        setup(Fault::None).with(change).trainer.build().unwrap_err().to_string()
    };
    let merges = "merges: expected 0 without Population::Pareto, got 2";
    assert_eq!(refused(|t| t.merges(2)), merges);
    let base = setup(Fault::None);
    let loss = Arc::new(textgrad_ops::TextLoss::new(base.model.clone(), "Judge it."));
    let builder = |optimizer| {
        Trainer::builder(base.solver.clone(), loss.clone(), optimizer, data("train", 0, 3))
    };
    let optimizer = || Arc::new(TextualGradientDescent::builder(base.model.clone()).build());
    let error = builder(optimizer()).population(Population::Pareto).build().unwrap_err();
    assert_eq!(error.to_string(), "population: expected a validation set beside it, got none");
    let error = builder(optimizer()).minibatch_gate(true).build().unwrap_err().to_string();
    assert!(error.starts_with("evaluator: expected one for") && error.contains("gate"), "{error}");
}
