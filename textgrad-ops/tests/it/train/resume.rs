//! A training that is killed anywhere goes on as if nothing had happened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use textgrad_ops::Error;
use textgrad_ops::train::{EndReason, StepOutcome, TrainEvent, Training};

use crate::train::support::{Fault, Setup, data, files, setup, timeless};

/// A small one, for it is run hundreds of times.
fn with_test(fault: Fault) -> Setup {
    setup(fault).with(|trainer| {
        trainer
            .validation(data("validation", 100, 6))
            .test(data("test", 300, 2))
            .patience(20)
            .epochs(1)
    })
}

/// Resumes; the thread that had the folder before may be about to let go of it.
async fn resume(fault: Fault, folder: &Path) -> Training {
    loop {
        let setup = with_test(fault).with(|trainer| trainer.resume(folder));
        match setup.trainer.build().unwrap().run().await {
            Err(failure) if matches!(failure.error, Error::RunLocked { .. }) => {
                tokio::task::yield_now().await;
            }
            other => return other.unwrap(),
        }
    }
}

struct Whole {
    folder: tempfile::TempDir,
    training: Training,
    calls: usize,
}

async fn whole() -> Whole {
    let folder = tempfile::tempdir().unwrap();
    let setup = with_test(Fault::None).with(|trainer| trainer.create(folder.path().join("run")));
    let model = Arc::clone(&setup.model);
    let training = setup.run().await;
    let outcomes: Vec<StepOutcome> = training.steps.iter().map(|step| step.outcome).collect();
    assert!(outcomes.contains(&StepOutcome::Accepted), "{outcomes:?}");
    assert!(outcomes.contains(&StepOutcome::Reverted), "{outcomes:?}");
    Whole { folder, training, calls: model.calls() }
}

impl Whole {
    fn path(&self) -> PathBuf {
        self.folder.path().join("run")
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_and_resumed_it_is_the_same() {
    let whole = whole().await;
    let expected = files(&whole.path());
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        ["checkpoint.json", "config.json", "history.jsonl", "result.json"]
    );
    for at in 0..whole.calls {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let setup = with_test(Fault::HangsAt(at)).with(|trainer| trainer.create(&path));
        let model = Arc::clone(&setup.model);
        let trainer = setup.trainer.build().unwrap();
        tokio::select! {
            _ = trainer.run() => panic!("it cannot end"),
            () = model.hung() => {}
        }
        drop(trainer);
        if at % 5 == 0 {
            // Once more in the middle of what was left, where anything was.
            let setup = with_test(Fault::HangsAt(20)).with(|trainer| trainer.resume(&path));
            let model = Arc::clone(&setup.model);
            let trainer = setup.trainer.build().unwrap();
            tokio::select! {
                _ = trainer.run() => {}
                () = model.hung() => {}
            }
        }
        let resumed = resume(Fault::None, &path).await;
        assert_eq!(timeless(&resumed), timeless(&whole.training), "call {at}");
        assert_eq!(files(&path), expected, "call {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn ended_by_its_budget_and_resumed_it_is_the_same() {
    let whole = whole().await;
    for at in (0..whole.calls).step_by(7) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let setup = with_test(Fault::BudgetAt(at)).with(|trainer| trainer.create(&path));
        assert_eq!(setup.run().await.ended, Some(EndReason::Budget), "call {at}");
        let resumed = resume(Fault::None, &path).await;
        assert_eq!(timeless(&resumed), timeless(&whole.training), "call {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_beyond_the_checkpoint_and_a_torn_one_are_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let (run, kept) = (path.clone(), folder.path().to_owned());
    let observer = move |event: &TrainEvent<'_>| {
        if let TrainEvent::StepDone { record } = event {
            let copy = kept.join(format!("checkpoint-{}.json", record.step));
            std::fs::copy(run.join("checkpoint.json"), copy).unwrap();
        }
    };
    let setup = with_test(Fault::None);
    let training =
        setup.with(|trainer| trainer.create(&path).observer(Arc::new(observer))).run().await;
    let (expected, history) = (files(&path), std::fs::read(path.join("history.jsonl")).unwrap());
    for step in 1..=training.steps.len() {
        for torn in ["", "{\"type\":\"step\",\"st"] {
            let copy = folder.path().join(format!("checkpoint-{step}.json"));
            std::fs::copy(copy, path.join("checkpoint.json")).unwrap();
            std::fs::write(path.join("history.jsonl"), [&history, torn.as_bytes()].concat())
                .unwrap();
            let resumed = resume(Fault::None, &path).await;
            assert_eq!(timeless(&resumed), timeless(&training), "step {step}");
            assert_eq!(files(&path), expected, "step {step}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_training_is_not_repeated() {
    let whole = whole().await;
    let setup = with_test(Fault::None).with(|trainer| trainer.resume(whole.path()));
    let (model, solver) = (Arc::clone(&setup.model), Arc::clone(&setup.solver));
    let again = setup.run().await;
    // Costs are those of then.
    assert_eq!((again, model.calls()), (whole.training.clone(), 0));
    assert_eq!(solver.system.text().as_ref(), whole.training.best.get("system").unwrap());
}

#[tokio::test(start_paused = true)]
async fn other_settings_are_refused_and_named() {
    let whole = whole().await;
    let refused = |setup: Setup| {
        let path = whole.path();
        async move {
            let trainer = setup.with(|trainer| trainer.resume(path)).trainer.build().unwrap();
            trainer.run().await.unwrap_err()
        }
    };
    for (setup, named) in [
        (with_test(Fault::None).with(|t| t.batch_size(4)), "batch_size: 3 then, 4 now"),
        (
            with_test(Fault::None).with(|t| t.setting("model", "x")),
            "more.model: null then, \"x\" now",
        ),
        (with_test(Fault::None).with(|t| t.test(data("test", 0, 4))), "data.test.sha256: "),
        (with_test(Fault::None).with(|t| t.drop_last(true)), "drop_last: false then, true now"),
    ] {
        let failure = refused(setup).await;
        assert!(matches!(failure.error, Error::RunDiffers { .. }), "{failure:?}");
        let error = failure.error.to_string();
        assert!(error.contains(named), "{error}");
        assert!(failure.so_far.is_none());
    }
    let other = with_test(Fault::None);
    other.solver.system.set("Say nothing.");
    let error = refused(other).await.error.to_string();
    assert!(
        error.contains("parameters.system: \"Answer the question.\" then, \"Say nothing.\" now"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn folders_that_cannot_be_used() {
    let whole = whole().await;
    let run = |setup: Setup| async move { setup.trainer.build().unwrap().run().await };
    let failure = run(with_test(Fault::None).with(|t| t.create(whole.path()))).await.unwrap_err();
    assert!(matches!(failure.error, Error::RunExists { .. }), "{failure:?}");
    let nowhere = whole.folder.path().join("nowhere");
    let failure = run(with_test(Fault::None).with(|t| t.resume(&nowhere))).await.unwrap_err();
    assert!(matches!(failure.error, Error::NoRun { .. }), "{failure:?}");

    let history = whole.path().join("history.jsonl");
    let text = std::fs::read_to_string(&history).unwrap();
    std::fs::write(&history, text.replacen("\"step\":2", "\"step\":\"two\"", 1)).unwrap();
    let failure = run(with_test(Fault::None).with(|t| t.resume(whole.path()))).await.unwrap_err();
    let error = failure.error.to_string();
    assert!(error.contains("is damaged: line 3 is no record"), "{error}");
    let first = text.lines().next().unwrap();
    std::fs::write(&history, format!("{first}\n")).unwrap();
    let failure = run(with_test(Fault::None).with(|t| t.resume(whole.path()))).await.unwrap_err();
    assert!(failure.error.to_string().contains("expected 5 records"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn a_history_that_lost_its_checkpoint_is_left_alone() {
    let whole = whole().await;
    let (history, checkpoint) =
        (whole.path().join("history.jsonl"), whole.path().join("checkpoint.json"));
    let text = std::fs::read_to_string(&history).unwrap();
    std::fs::rename(&checkpoint, whole.folder.path().join("kept")).unwrap();
    let setup = with_test(Fault::None).with(|t| t.resume(whole.path()));
    let failure = setup.trainer.build().unwrap().run().await.unwrap_err();
    assert!(matches!(failure.error, Error::RunDamaged { .. }), "{failure:?}");
    let error = failure.error.to_string();
    assert!(error.contains("has 5 records, but checkpoint.json beside it is missing"), "{error}");
    assert!(error.contains("put that back, or begin in another folder"), "{error}");
    assert_eq!(std::fs::read_to_string(&history).unwrap(), text);

    std::fs::rename(whole.folder.path().join("kept"), &checkpoint).unwrap();
    assert_eq!(timeless(&resume(Fault::None, &whole.path()).await), timeless(&whole.training));
    // Killed between the first line and the first checkpoint.
    std::fs::remove_file(&checkpoint).unwrap();
    std::fs::write(&history, format!("{}\n{{\"ty", text.lines().next().unwrap())).unwrap();
    assert_eq!(timeless(&resume(Fault::None, &whole.path()).await), timeless(&whole.training));
}
