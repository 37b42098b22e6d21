//! Ends of a training.

use std::sync::{Arc, Mutex};

use textgrad_core::Purpose;
use textgrad_ops::CancellationToken;
use textgrad_ops::score::Example;
use textgrad_ops::train::{Dataset, EndReason, TrainEvent};

use crate::train::support::{BAD, Fault, Model, START, data, setup, setup_of, tagged};

#[tokio::test(start_paused = true)]
async fn a_budget_ends_it_with_the_best_so_far() {
    let whole = setup(Fault::None).run().await;
    let calls = {
        let setup = setup(Fault::None);
        let model = Arc::clone(&setup.model);
        setup.run().await;
        model.calls()
    };
    for at in (0..calls).step_by(3) {
        let setup = setup(Fault::BudgetAt(at));
        let solver = Arc::clone(&setup.solver);
        let training = setup.run().await;
        assert_eq!(training.ended, Some(EndReason::Budget), "call {at}");
        let finished = training.steps.len();
        let whole_steps: Vec<_> = whole.steps.iter().take(finished).collect();
        for (step, expected) in training.steps.iter().zip(whole_steps) {
            assert_eq!((step.outcome, &step.parameters), (expected.outcome, &expected.parameters));
        }
        let held = training.steps.last().map(|step| step.parameters.get("system").unwrap());
        assert_eq!(solver.system.text().as_ref(), held.unwrap_or(START), "call {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn patience_and_target() {
    let worse = Model::updating(Fault::None, Some(|old| tagged(&format!("{old} {}", BAD[0]))));
    let setup_worse = setup_of(worse, 32, data("train", 0, 10));
    let training = setup_worse.with(|trainer| trainer.patience(3)).run().await;
    assert_eq!((training.ended, training.steps.len()), (Some(EndReason::Patience), 3));

    let training = setup(Fault::None).with(|trainer| trainer.target(0.0)).run().await;
    assert_eq!((training.ended, training.steps.len()), (Some(EndReason::Target), 0));
    let whole = setup(Fault::None).run().await;
    let target = whole.score.unwrap();
    let training = setup(Fault::None).with(|trainer| trainer.target(target)).run().await;
    assert_eq!(training.ended, Some(EndReason::Target));
    assert_eq!(training.steps.last().unwrap().score, Some(target));
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_asked_to() {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let observer = move |event: &TrainEvent<'_>| {
        if matches!(event, TrainEvent::StepBegun { step: 3, .. }) {
            asked.cancel();
        }
    };
    let setup = setup(Fault::None);
    let model = Arc::clone(&setup.model);
    let setup = setup.with(|trainer| {
        trainer.stop(&stop).observer(Arc::new(observer)).test(data("test", 300, 4))
    });
    let training = setup.run().await;
    assert_eq!((training.ended, training.steps.len()), (Some(EndReason::Stopped), 3));
    assert_eq!(training.test, None);
    let asked = model.asked(Purpose::Forward);
    assert!(asked.iter().all(|request| !request.messages[1].text().contains("30")));
}

#[tokio::test(start_paused = true)]
async fn if_every_example_fails_it_ends_with_an_error_and_what_there_was() {
    let broken = |name: &'static str| {
        let examples = ["broken 1", "broken 2"].map(|question| {
            Example::new(question).with_field("question", question).with_expected("1")
        });
        Dataset::new(name, examples).unwrap()
    };
    let setup = setup_of(Model::new(Fault::None), 32, broken("train"));
    let failure = setup.trainer.build().unwrap().run().await.unwrap_err();
    assert!(failure.to_string().contains("after 0 step(s)"), "{failure}");
    assert_eq!(
        failure.error.to_string(),
        "forward pass and objective failed for each of the 2 example(s)"
    );
    assert!(failure.error.engine().is_some(), "the engine's error is at the bottom");
    let training = failure.so_far.unwrap();
    assert!(training.baseline.is_some() && training.ended.is_none());

    let setup = crate::train::support::setup(Fault::None);
    let setup = setup.with(|trainer| trainer.validation(broken("validation")));
    let failure = setup.trainer.build().unwrap().run().await.unwrap_err();
    assert!(failure.error.to_string().starts_with("evaluation failed for each"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn dropping_it_in_the_middle_of_a_step_puts_the_old_texts_back() {
    let whole = setup(Fault::None);
    let model = Arc::clone(&whole.model);
    whole.run().await;
    let mut tried = 0;
    for at in (0..model.calls()).step_by(5) {
        let held = Arc::new(Mutex::new(START.to_owned()));
        let heard = Arc::clone(&held);
        let observer = move |event: &TrainEvent<'_>| {
            if let TrainEvent::StepDone { record } = event {
                *heard.lock().unwrap() = record.parameters.get("system").unwrap().to_owned();
            }
        };
        let setup = setup(Fault::HangsAt(at));
        let (model, solver) = (Arc::clone(&setup.model), Arc::clone(&setup.solver));
        let trainer = setup.trainer.observer(Arc::new(observer)).build().unwrap();
        {
            let mut run = std::pin::pin!(trainer.run());
            tokio::select! {
                _ = &mut run => panic!("it cannot end"),
                () = model.hung() => {}
            }
            tried += usize::from(*solver.system.text() != **held.lock().unwrap());
        }
        assert_eq!(*solver.system.text(), **held.lock().unwrap(), "call {at}");
    }
    assert!(tried > 5, "new texts were being tried in {tried} cases");
}
