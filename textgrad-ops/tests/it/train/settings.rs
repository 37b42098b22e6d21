//! Losses and optimizers of a training: those that say nothing, and those of another training.

use std::sync::Arc;

use textgrad_core::{Score, Seed, Variable};
use textgrad_ops::check::Length;
use textgrad_ops::score::{Example, NumericMatch, scorer_fn};
use textgrad_ops::train::{Trainer, TrainerBuilder, Training};
use textgrad_ops::{
    Error, Loss, ScoreLoss, TextLoss, TextualGradientDescent, all_of, loss_fn, weighted_sum,
};

use crate::train::support::{Fault, Setup, data, setup};

/// A training of two epochs with a loss and an optimizer that has this constraint.
fn training(loss: Arc<dyn Loss>, constraint: &str) -> TrainerBuilder {
    let Setup { model, solver, .. } = setup(Fault::None);
    let optimizer = TextualGradientDescent::builder(model).constraint(constraint);
    let optimizer = Arc::new(optimizer.seed(Seed::new(1)).build());
    Trainer::builder(solver, loss, optimizer, data("train", 0, 6)).epochs(2)
}

async fn run(trainer: TrainerBuilder) -> Result<Training, Error> {
    Ok(trainer.build().unwrap().run().await?)
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_gives_no_feedback_ends_it_after_an_epoch() {
    let silent = training(ScoreLoss::new(NumericMatch::new()).shared(), "Be brief.");
    let failure = silent.build().unwrap().run().await.unwrap_err();
    assert!(matches!(failure.error, Error::SilentLoss { steps: 2, .. }), "{failure:?}");
    assert!(failure.to_string().contains("give a ScoreLoss a feedback_engine"), "{failure}");
    assert_eq!(failure.so_far.unwrap().steps.len(), 2, "one epoch");
    // What is right needs no feedback.
    let right = scorer_fn("right", |_: &str, _: &Example| Ok(Score::Passed(true)));
    let trained = run(training(ScoreLoss::new(right).shared(), "Be brief.")).await.unwrap();
    assert_eq!(trained.steps.len(), 4);
    // Nor is an objective without a score wrong.
    let words = loss_fn(|text: Variable| async move { Ok(text.detach()) }).shared();
    let text = run(training(words, "Be brief.")).await.unwrap_err().to_string();
    assert!(text.contains("requires no gradient"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_training_is_not_resumed_with_another_loss_or_optimizer() {
    let engine = setup(Fault::None).model;
    let judge = |instruction: &str| TextLoss::new(engine.clone(), instruction);
    let long = || ScoreLoss::check(Length::words(..=30).unwrap()).shared();
    let sum =
        |weight| weighted_sum([(weight, judge("Judge it.").shared()), (1.0, long())]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let first = training(sum(2.0).shared(), "Be brief.").create(folder.path());
    run(first).await.unwrap();
    let all = all_of([judge("Judge it.").shared(), long()]).unwrap();
    for (loss, constraint, named) in [
        (sum(3.0).shared(), "Be brief.", "loss.weights"),
        (judge("Judge it.").shared(), "Be brief.", "loss.instruction"),
        (all.shared(), "Be brief.", "loss.all_of"),
        (sum(2.0).shared(), "Be kind.", "optimizer.constraints"),
    ] {
        let other = training(loss, constraint).resume(folder.path());
        let error = run(other).await.unwrap_err();
        assert!(matches!(error, Error::RunDiffers { .. }), "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let same = training(sum(2.0).shared(), "Be brief.").resume(folder.path());
    assert_eq!(run(same).await.unwrap().steps.len(), 4);
}
