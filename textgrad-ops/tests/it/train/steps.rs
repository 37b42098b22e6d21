//! Steps of a training.

use std::sync::{Arc, Mutex};

use textgrad_core::{Gradients, Parameter, Purpose, Seed, Variable};
use textgrad_ops::ScoreLoss;
use textgrad_ops::layer::EngineExt as _;
use textgrad_ops::layer::Meter;
use textgrad_ops::score::{Example, NumericMatch};
use textgrad_ops::train::{
    Acceptance, Dataset, EndReason, Phase, StepOutcome, TrainEvent, Trainer,
};
use textgrad_ops::{LlmReduce, Optimizer, Proposal, TextualGradientDescent};

use crate::train::support::{
    BAD, Fault, GOOD, Model, START, data, proposing, setup, setup_of, tagged, timeless,
};

#[tokio::test(start_paused = true)]
async fn validation_rises_and_a_worsening_step_is_taken_back() {
    let setup = setup(Fault::None);
    let solver = Arc::clone(&setup.solver);
    let training = setup.run().await;

    assert_eq!(training.ended, Some(EndReason::Completed));
    let batches: Vec<(usize, usize)> =
        training.steps.iter().map(|step| (step.epoch, step.batch)).collect();
    assert_eq!(batches, [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4)]);

    let mut before = training.baseline.as_ref().unwrap().parameters.clone();
    let mut score = training.baseline.as_ref().unwrap().validation.unwrap().score;
    let mut seen = std::collections::HashSet::new();
    for step in &training.steps {
        seen.insert(step.outcome);
        let validation = step.validation.unwrap();
        match step.outcome {
            StepOutcome::Accepted => {
                assert!(validation.score >= score, "{step:?}");
                assert_eq!(step.parameters.get("system"), Some(step.proposed["system"].as_str()));
                score = validation.score;
            }
            StepOutcome::Reverted => {
                assert!(validation.score < score, "{step:?}");
                assert!(BAD.iter().any(|phrase| step.proposed["system"].contains(phrase)));
                assert_eq!(step.parameters, before);
            }
            StepOutcome::Unchanged => assert_eq!(step.parameters, before),
            StepOutcome::Failed => panic!("{step:?}"),
        }
        assert_eq!(step.score, Some(score));
        before = step.parameters.clone();
    }
    assert!(seen.contains(&StepOutcome::Accepted) && seen.contains(&StepOutcome::Reverted));
    let first = training.curve()[0].1;
    assert!(training.score.unwrap() > first, "{:?}", training.curve());
    assert_eq!(training.score, Some(score));
    assert_eq!(solver.system.text().as_ref(), training.best.get("system").unwrap());
    assert!(GOOD.iter().any(|phrase| solver.system.text().contains(phrase)));
}

#[tokio::test(start_paused = true)]
async fn concurrency_changes_nothing() {
    let run = |concurrency| {
        let setup = setup_of(Model::new(Fault::None), concurrency, data("train", 0, 10));
        setup.with(|trainer| trainer.test(data("test", 200, 5)).test_each_step(true)).run()
    };
    let (one, many) = (run(1).await, run(32).await);
    assert_eq!(timeless(&one), timeless(&many));
    assert!(one.test.is_some() && one.steps.iter().all(|step| step.test.is_some()));
}

#[tokio::test(start_paused = true)]
async fn another_seed_is_another_training() {
    let other = setup(Fault::None).with(|trainer| trainer.seed(Seed::new(12))).run().await;
    assert_ne!(timeless(&setup(Fault::None).run().await), timeless(&other));
}

#[tokio::test(start_paused = true)]
async fn texts_that_are_known_are_not_measured_again() {
    let same = Model::updating(Fault::None, Some(tagged));
    let training = setup_of(same.clone(), 32, data("train", 0, 10)).run().await;
    // The baseline, and the minibatches of two epochs.
    assert_eq!(same.asked(Purpose::Forward).len(), 20 + 2 * 10);
    for step in &training.steps {
        assert_eq!(step.outcome, StepOutcome::Unchanged);
        assert_eq!(step.reason.as_deref(), Some("the new texts are the old ones"));
    }
    assert_eq!(training.best_step, 0);
}

#[tokio::test(start_paused = true)]
async fn equals_are_kept_or_not_as_told() {
    // A phrase that changes nothing but the text.
    let run = |acceptance| {
        let model = Model::updating(Fault::None, Some(|old| tagged(&format!("{old} Well."))));
        let setup = setup_of(model, 32, data("train", 0, 10));
        setup.with(|trainer| trainer.acceptance(acceptance).epochs(1).steps_per_epoch(2)).run()
    };
    let kept = run(Acceptance::NotWorse).await;
    assert_eq!(kept.best.get("system"), Some("Answer the question. Well. Well."));
    assert_eq!((kept.best_step, kept.steps.len()), (2, 2));
    let left = run(Acceptance::Better).await;
    assert_eq!((left.best.get("system"), left.best_step), (Some(START), 0));
    assert!(left.steps.iter().all(|step| step.outcome == StepOutcome::Reverted));
}

#[tokio::test(start_paused = true)]
async fn all_may_be_kept_and_the_best_is_remembered() {
    let worse = Model::updating(Fault::None, Some(|old| tagged(&format!("{old} {}", BAD[0]))));
    let setup = setup_of(worse, 32, data("train", 0, 10));
    let solver = Arc::clone(&setup.solver);
    let training = setup.with(|trainer| trainer.acceptance(Acceptance::Always)).run().await;
    assert!(training.steps.iter().all(|step| step.outcome == StepOutcome::Accepted));
    assert!(training.steps[0].score < Some(training.curve()[0].1));
    assert_eq!((training.best_step, solver.system.text().as_ref()), (0, START));
}

#[tokio::test(start_paused = true)]
async fn without_validation_the_last_texts_are_the_result() {
    let model = Model::new(Fault::None);
    let engine: Arc<dyn textgrad_core::Engine> = Arc::new(Arc::clone(&model));
    let base = setup_of(model.clone(), 32, data("train", 0, 10));
    let evaluator = Arc::new(NumericMatch::new());
    let loss = ScoreLoss::new(evaluator)
        .purpose("says whether it is right")
        .feedback_engine(engine.clone());
    let optimizer = TextualGradientDescent::builder(engine).seed(Seed::new(1)).build();
    let (loss, optimizer) = (Arc::new(loss), Arc::new(optimizer));
    let trainer = Trainer::builder(base.solver.clone(), loss, optimizer, data("train", 0, 10));
    let training = trainer.epochs(1).build().unwrap().run().await.unwrap();
    let last = training.steps.last().unwrap();
    assert_eq!((&training.best, training.score), (&last.parameters, None));
    assert!(last.parameters.get("system").unwrap().len() > START.len());
    assert_eq!(model.asked(Purpose::Forward).len(), 10, "nothing but minibatches");
}

#[tokio::test(start_paused = true)]
async fn what_is_right_needs_no_feedback() {
    let setup =
        setup(Fault::None).with(|trainer| trainer.errors_only(true).batch_size(10).epochs(1));
    let model = Arc::clone(&setup.model);
    let training = setup.run().await;
    let step = &training.steps[0];
    let wrong = step.examples.iter().filter(|example| example.score == Some(0.0)).count();
    assert!((1..10).contains(&wrong), "{wrong}");
    // A base request about each wrong prediction, and one about the system prompt from each.
    assert_eq!(model.asked(Purpose::Gradient).len(), 2 * wrong);
    for example in &step.examples {
        assert_eq!(example.loss.is_some(), example.score == Some(0.0), "{example:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn feedback_can_be_merged() {
    let model = Model::new(Fault::None);
    let setup = setup_of(model.clone(), 32, data("train", 0, 10));
    let reduction = Arc::new(LlmReduce::new(model.clone()));
    setup.with(|trainer| trainer.reduction(reduction).epochs(1).steps_per_epoch(1)).run().await;
    assert_eq!(model.asked(Purpose::Reduce).len(), 1);
    let update = &model.asked(Purpose::Update)[0].messages[1].text();
    assert!(update.contains("reduce ") && !update.contains("gradient "), "{update}");
}

#[tokio::test(start_paused = true)]
async fn an_example_that_fails_is_counted_and_the_step_goes_on() {
    let broken = ["What is 1?", "broken", "panic"]
        .map(|question| Example::new(question).with_field("question", question).with_expected("1"));
    let broken = Dataset::new("broken", broken).unwrap();
    let setup = setup_of(Model::new(Fault::None), 32, broken.clone());
    let training = setup.with(|trainer| trainer.validation(broken).epochs(1)).run().await;
    let baseline = training.baseline.unwrap().validation.unwrap();
    assert_eq!((baseline.examples, baseline.failed), (3, 2));
    assert!(baseline.score <= 1.0 / 3.0);
    let step = &training.steps[0];
    let error = |id: &str| {
        let found = step.examples.iter().find(|example| example.id == id).unwrap();
        found.error.clone().unwrap_or_default()
    };
    assert!(error("broken").contains("no such question"), "{step:?}");
    assert!(error("panic").contains("a panic of the program's own"), "{step:?}");
    assert_eq!(error("What is 1?"), "");
    assert!(!step.proposed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_optimizer_that_fails_does_not_end_the_training() {
    let useless = Model::updating(Fault::None, Some(|_| "I would rather not.".to_owned()));
    let training = setup_of(useless, 32, data("train", 0, 10)).run().await;
    assert_eq!((training.ended, training.steps.len()), (Some(EndReason::Completed), 8));
    for step in &training.steps {
        assert_eq!(step.outcome, StepOutcome::Failed);
        assert!(step.reason.as_ref().unwrap().contains("no usable new text"), "{step:?}");
        assert_eq!(step.parameters.get("system"), Some(START));
    }
}

#[tokio::test(start_paused = true)]
async fn a_minibatch_may_be_larger_than_the_set() {
    let setup = setup(Fault::None).with(|trainer| trainer.batch_size(1000).drop_last(true));
    let training = setup.run().await;
    assert_eq!(training.steps.len(), 2);
    assert!(training.steps.iter().all(|step| step.examples.len() == 10));
}

#[tokio::test(start_paused = true)]
async fn events_and_costs() {
    let events: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&events);
    let observer = move |event: &TrainEvent<'_>| {
        let line = match event {
            TrainEvent::Began { steps, finished } => format!("began {finished} of {steps}"),
            TrainEvent::StepBegun { step, epoch, examples } => {
                format!("step {step} {epoch} {examples}")
            }
            TrainEvent::EvaluationBegun { phase, examples } => {
                format!("{} {examples}", phase.as_str())
            }
            TrainEvent::ExampleDone { phase: Phase::Train, .. } => "example".to_owned(),
            TrainEvent::ExampleDone { .. } => return,
            TrainEvent::Evaluated { phase, known, .. } => {
                format!("{} known {known}", phase.as_str())
            }
            TrainEvent::StepDone { .. } => "done".to_owned(),
            TrainEvent::Ended { ended } => format!("{ended:?}"),
            _ => return,
        };
        heard.lock().unwrap().push(line);
    };
    let model = Model::new(Fault::None);
    let meter = Meter::default();
    let engine = Arc::new(Arc::clone(&model).metered(&meter));
    let base = setup_of(model, 32, data("train", 0, 10));
    let loss = ScoreLoss::new(NumericMatch::new())
        .purpose("says whether it is right")
        .feedback_engine(engine);
    let optimizer = TextualGradientDescent::builder(base.model.clone()).seed(Seed::new(3)).build();
    let trainer =
        Trainer::builder(base.solver, Arc::new(loss), Arc::new(optimizer), data("train", 0, 3));
    let trainer = trainer.epochs(1).meter(&meter).observer(Arc::new(observer));
    let trainer = trainer.test(data("test", 50, 4)).evaluator(Arc::new(NumericMatch::new()));
    let training = trainer.build().unwrap().run().await.unwrap();
    assert_eq!(
        *events.lock().unwrap(),
        [
            "began 0 of 1",
            "step 1 1 3",
            "example",
            "example",
            "example",
            "done",
            "test 4",
            "test known false",
            "Some(Completed)",
        ]
    );
    // Feedback on three predictions; the other requests go to engines without this meter.
    assert_eq!(training.steps[0].cost.requests, Some(3));
}

/// Proposes a worse text, then a better one.
struct TwoCandidates;

#[async_trait::async_trait]
impl Optimizer for TwoCandidates {
    fn needs_gradients(&self) -> bool {
        false
    }

    fn candidates(&self) -> usize {
        2
    }

    async fn propose(
        &self,
        parameters: &[Parameter],
        _: &Variable,
        _: &Gradients,
    ) -> Result<Proposal, textgrad_ops::Error> {
        let update = |parameter: &Parameter| {
            let text = |phrase| format!("{} {phrase}", parameter.text());
            proposing(parameter, [BAD[0], GOOD[0]].map(text))
        };
        let updates = parameters.iter().map(update).collect();
        Ok(Proposal { updates, unchanged: Vec::new() })
    }
}

#[tokio::test(start_paused = true)]
async fn the_candidate_with_the_best_validation_score_is_kept() {
    let trainer = || {
        let base = setup(Fault::None);
        let loss = ScoreLoss::new(NumericMatch::new()).feedback_engine(base.model);
        let train = data("train", 0, 3);
        Trainer::builder(base.solver, Arc::new(loss), Arc::new(TwoCandidates), train).epochs(1)
    };
    let refused = trainer().build().err().unwrap().to_string();
    assert_eq!(refused, "candidates: expected a validation set beside it, got none");
    let trainer = trainer().validation(data("validation", 100, 20));
    let trainer = trainer.evaluator(Arc::new(NumericMatch::new())).seed(Seed::new(11));
    let training = trainer.build().unwrap().run().await.unwrap();
    let step = &training.steps[0];
    assert_eq!(step.outcome, StepOutcome::Accepted);
    let kept = format!("{START} {}", GOOD[0]);
    assert_eq!(step.proposed["system"], kept);
    assert_eq!(step.parameters.get("system"), Some(kept.as_str()));
}
