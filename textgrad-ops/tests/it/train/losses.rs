//! Verdicts as objectives: what the model that gives feedback is shown.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Gradient, Score, Variable, backward};
use textgrad_ops::ScoreLoss;
use textgrad_ops::score::{Example, NumericMatch, scorer_fn};

fn example() -> Example {
    Example::new("1").with_field("question", "2 + 2?").with_expected("4711")
}

async fn asked(
    loss: &ScoreLoss,
    engine: &ScriptedEngine,
    prediction: &str,
) -> (Score, Vec<String>) {
    let prediction = Variable::differentiable(prediction, "answer to a sum");
    let verdict = loss.evaluate_for(&prediction, &example()).await.unwrap();
    let gradients = backward(&verdict).await.unwrap();
    if engine.requests().is_empty() {
        assert!(gradients.get(&prediction).is_empty());
    } else {
        assert!(matches!(gradients.get(&prediction), [Gradient::Feedback(_)]));
    }
    let texts = engine.requests().iter().map(|request| request.messages[1].text()).collect();
    (verdict.score().unwrap(), texts)
}

#[tokio::test]
async fn the_expected_answer_is_shown_only_if_set() {
    for show in [false, true] {
        let engine = Arc::new(ScriptedEngine::new(["Count again."]));
        let loss = ScoreLoss::new(NumericMatch::new())
            .purpose("says whether the sum is right")
            .feedback_engine(engine.clone());
        let loss = loss.show_expected(show);
        let (score, texts) = asked(&loss, &engine, "It is 5.").await;
        assert_eq!(score, Score::Passed(false));
        assert_eq!(texts.len(), 1, "nothing is asked about the expected answer");
        assert_eq!(texts[0].contains("4711"), show, "{}", texts[0]);
        for part in ["says whether the sum is right", "It is 5.", "wrong"] {
            assert!(texts[0].contains(part), "{part}: {}", texts[0]);
        }
    }
}

#[tokio::test]
async fn what_is_right_may_be_passed_over() {
    for (prediction, errors_only, requests) in
        [("4711", true, 0), ("4711", false, 1), ("3", true, 1), ("3", false, 1)]
    {
        let engine = Arc::new(ScriptedEngine::new(["Fine."]));
        let loss = ScoreLoss::new(NumericMatch::new())
            .purpose("checks the sum")
            .feedback_engine(engine.clone());
        let (_, texts) = asked(&loss.errors_only(errors_only), &engine, prediction).await;
        assert_eq!(texts.len(), requests, "{prediction} {errors_only}");
    }
    // A number is right from 1 on.
    for (score, requests) in [(0.9, 1), (1.0, 0)] {
        let engine = Arc::new(ScriptedEngine::new(["Fine."]));
        let grade = scorer_fn("grade", move |_: &str, _: &Example| Ok(score));
        let loss = ScoreLoss::new(grade)
            .purpose("grades")
            .feedback_engine(engine.clone())
            .errors_only(true);
        assert_eq!(asked(&loss, &engine, "x").await.1.len(), requests);
    }
}
