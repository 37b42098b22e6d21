//! Invalid input of users.

use std::sync::Arc;

use textgrad_core::{Members, Module, Variable};
use textgrad_ops::score::{Example, NumericMatch, scorer_fn};
use textgrad_ops::train::{Acceptance, Dataset, Program, Trainer, TrainerBuilder};
use textgrad_ops::{Error, TextLoss, example_loss_fn};

use crate::train::support::{Fault, Model, Remembering, data, setup, setup_of};

fn refused(change: impl FnOnce(TrainerBuilder) -> TrainerBuilder) -> String {
    setup(Fault::None).with(change).trainer.build().unwrap_err().to_string()
}

#[test]
fn settings_are_checked() {
    let empty = || Dataset::new("nothing", []).unwrap();
    assert_eq!(refused(|t| t.batch_size(0)), "batch_size: expected 1 or more, got 0");
    assert_eq!(refused(|t| t.epochs(0)), "epochs: expected 1 or more, got 0");
    assert_eq!(refused(|t| t.patience(0)), "patience: expected 1 or more, got 0");
    assert_eq!(refused(|t| t.target(f64::NAN)), "target: expected a finite number, got NaN");
    let none = "nothing: expected at least one example, got none";
    assert_eq!(refused(|t| t.validation(empty())), none);
    assert_eq!(refused(|t| t.test(empty())), none);
    let setup = setup_of(Model::new(Fault::None), 1, empty());
    assert_eq!(setup.trainer.build().unwrap_err().to_string(), none);
}

#[test]
fn what_is_missing_is_named() {
    let base = setup(Fault::None);
    let builder = || {
        let loss = Arc::new(TextLoss::new(base.model.clone(), "Judge it."));
        let optimizer = Arc::new(Remembering::new(base.model.clone()));
        Trainer::builder(base.solver.clone(), loss, optimizer, data("train", 0, 3))
    };
    let refused = |builder: TrainerBuilder| builder.build().unwrap_err().to_string();
    let evaluator = "evaluator: expected one for the validation set, the test set, errors_only or the gate, got none";
    assert_eq!(refused(builder().validation(data("v", 0, 1))), evaluator);
    assert_eq!(refused(builder().errors_only(true)), evaluator);
    let validation = "patience: expected a validation set beside it, got none";
    assert_eq!(refused(builder().patience(1)), validation);
    assert!(refused(builder().acceptance(Acceptance::Better)).starts_with("acceptance: "));
    assert!(builder().build().is_ok());
}

struct Constant;

impl Module for Constant {
    fn members(&self) -> Members<'_> {
        Vec::new()
    }
}

#[async_trait::async_trait]
impl Program for Constant {
    async fn forward(
        &self,
        _: &Example,
        _: textgrad_core::Seed,
    ) -> Result<Variable, textgrad_core::Error> {
        Ok(Variable::constant("4", "answer"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_must_depend_on_its_parameters() {
    let base = setup(Fault::None);
    let loss = || {
        Arc::new(example_loss_fn(
            |prediction: Variable, _, _| async move { Ok(prediction.detach()) },
        ))
    };
    let optimizer = || Arc::new(Remembering::new(base.model.clone()));
    let trainer = Trainer::builder(Arc::new(Constant), loss(), optimizer(), data("t", 0, 3));
    let error = trainer.build().unwrap_err().to_string();
    assert_eq!(error, "program: expected at least one parameter, got none");

    let trainer = Trainer::builder(base.solver.clone(), loss(), optimizer(), data("t", 0, 3));
    let failure = trainer.build().unwrap().run().await.unwrap_err();
    let error = failure.error.to_string();
    assert!(error.contains("requires no gradient"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_score_that_is_no_number_is_an_error_of_its_example() {
    let odd = scorer_fn("odd", |prediction: &str, example: &Example| {
        if example.id() == "100" { Ok(f64::NAN) } else { Ok(prediction.len() as f64) }
    });
    let setup =
        setup(Fault::None).with(|t| t.evaluator(Arc::new(odd)).epochs(1).failure_score(-1.0));
    let training = setup.run().await;
    assert_eq!(training.baseline.unwrap().validation.unwrap().failed, 1);

    let unknown =
        Dataset::new("v", [Example::new("1").with_field("question", "What is 1?")]).unwrap();
    let setup = crate::train::support::setup(Fault::None);
    let setup = setup.with(|t| t.evaluator(Arc::new(NumericMatch::new())).validation(unknown));
    let failure = setup.trainer.build().unwrap().run().await.unwrap_err();
    let Error::AllFailed { source, .. } = failure.error else { panic!("{failure:?}") };
    assert_eq!(source.to_string(), "example \"1\" has no expected answer");
}
