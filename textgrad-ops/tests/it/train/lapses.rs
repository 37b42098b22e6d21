//! An engine that fails while texts are measured: that says nothing about the texts.

use std::sync::Arc;

use textgrad_core::ErrorKind;
use textgrad_ops::Error;
use textgrad_ops::train::{TrainFailure, Training};

use crate::train::support::{Fault, data, files, setup, timeless};

/// The number of a question of the validation set, and of one of the test set.
const VALIDATION: usize = 103;
const TEST: usize = 301;

fn down(number: usize, times: usize, kind: ErrorKind) -> Fault {
    Fault::Down { number, times, kind }
}

async fn run(fault: Fault) -> (Result<Training, TrainFailure>, String) {
    let setup = setup(fault).with(|trainer| trainer.test(data("test", 300, 4)));
    let solver = Arc::clone(&setup.solver);
    let outcome = setup.trainer.build().unwrap().run().await;
    (outcome, solver.system.text().to_string())
}

#[tokio::test(start_paused = true)]
async fn an_example_is_measured_again_and_nothing_else_changes() {
    let whole = run(Fault::None).await.0.unwrap();
    for number in [VALIDATION, TEST] {
        for kind in [ErrorKind::Connection, ErrorKind::RateLimited, ErrorKind::Server] {
            let training = run(down(number, 2, kind)).await.0.unwrap();
            assert_eq!(timeless(&training), timeless(&whole), "{number} {kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_without_a_score_ends_it_with_the_best_so_far() {
    let whole = run(Fault::None).await.0.unwrap();
    for (number, times, kind, set) in [
        (VALIDATION, 3, ErrorKind::Timeout, "validation"),
        (VALIDATION, 1, ErrorKind::Auth, "validation"),
        (VALIDATION, 1, ErrorKind::Other, "validation"),
        (TEST, 3, ErrorKind::Server, "test"),
    ] {
        let (outcome, text) = run(down(number, times, kind)).await;
        let failure = outcome.unwrap_err();
        let Error::Unmeasured { set: named, failed: 1, .. } = &failure.error else {
            panic!("{failure:?}")
        };
        assert_eq!(*named, set);
        assert_eq!(failure.error.engine().unwrap().kind(), kind);
        let shown = failure.to_string();
        assert!(shown.contains(&failure.error.to_string()), "{shown}");
        assert!(!format!("{failure:?}").contains("StepRecord"), "the history is not shown");
        let training = failure.so_far.unwrap();
        assert_eq!((training.ended, training.test), (None, None));
        assert_eq!(text, training.best.get("system").unwrap());
        if set == "test" {
            assert_eq!(timeless(&training).steps, timeless(&whole).steps);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_is_a_failure_of_its_texts() {
    for kind in [ErrorKind::InvalidRequest, ErrorKind::Unsupported] {
        let training = run(down(VALIDATION, usize::MAX, kind)).await.0.unwrap();
        assert_eq!(training.baseline.unwrap().validation.unwrap().failed, 1);
        assert!(
            training.steps.iter().filter_map(|step| step.validation).all(|one| one.failed == 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_text_is_taken_back_or_remembered_for_it_and_the_step_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let training = setup(Fault::None).with(|trainer| trainer.create(&whole)).run().await;
    // The question is asked once in the baseline and once for each new text; it works once, then fails.
    let path = folder.path().join("run");
    let late = crate::train::support::Late::new(1, 3);
    let failing =
        setup(Fault::None).with(|trainer| trainer.create(&path).evaluator(Arc::new(late)));
    let failure = failing.trainer.build().unwrap().run().await.unwrap_err();
    assert!(matches!(failure.error, Error::Unmeasured { failed: 1, .. }), "{failure:?}");
    assert!(failure.so_far.unwrap().steps.is_empty());
    let resumed = setup(Fault::None).with(|trainer| trainer.resume(&path)).run().await;
    assert_eq!(timeless(&resumed), timeless(&training));
    assert_eq!(files(&path), files(&whole));
}
