//! Feedback on the parts of a weighted sum.

use std::sync::Arc;

use textgrad_core::{
    Feedback, Inputs, Output, Purpose, Score, Variable, apply_one, backward, op_fn,
};
use textgrad_ops::{Loss, loss_fn, weighted_sum};

use super::{judge, scored};
use crate::support::{Answers, user};

/// What the parts of sums within a sum are told, in the order of their rules.
async fn told(outer: [f64; 2], inner: [f64; 2]) -> Vec<String> {
    let engine = Answers::plain("e");
    let rules = ["rule a", "rule b"].map(|rule| judge(&engine, rule));
    let sum: Arc<dyn Loss> = Arc::new(weighted_sum(inner.into_iter().zip(rules)).unwrap());
    let total = weighted_sum([(outer[0], judge(&engine, "rule c")), (outer[1], sum)]).unwrap();
    let total = total.evaluate(&Variable::differentiable("x", "text")).await.unwrap();
    backward(&total).await.unwrap();
    let asked = engine.asked(Purpose::Gradient);
    let told = asked.iter().filter(|request| user(request).contains("<FEEDBACK>"));
    let mut told: Vec<String> = told
        .map(|request| {
            let asked = user(request);
            assert_eq!(asked.matches("This evaluation is one part").count(), 1, "{asked}");
            let (_, rest) = asked.split_once("makes up ").unwrap();
            rest.split_once(". A new").unwrap().0.to_owned()
        })
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn parts_of_a_part_receive_their_share_of_the_whole() {
    assert_eq!(
        told([1.0, 3.0], [1.0, 4.0]).await,
        [
            "15 % of it (weight 1 within a part that makes up 75 %)",
            "25 % of it (weight 1)",
            "60 % of it (weight 4 within a part that makes up 75 %)",
        ]
    );
    // Equals in a part are not each as much as the part.
    assert_eq!(
        told([1.0, 3.0], [2.0, 2.0]).await,
        [
            "25 % of it (weight 1)",
            "37.5 % of it (weight 2 within a part that makes up 75 %)",
            "37.5 % of it (weight 2 within a part that makes up 75 %)",
        ]
    );
    // In a sum of equals only a sum within is told what it is a part of.
    assert_eq!(
        told([1.0, 1.0], [1.0, 3.0]).await,
        [
            "12.5 % of it (weight 1 within a part that makes up 50 %)",
            "37.5 % of it (weight 3 within a part that makes up 50 %)",
        ]
    );
}

#[tokio::test]
async fn shares_go_through_every_level_and_other_feedback_stays() {
    let engine = Answers::plain("e");
    let text = Variable::differentiable("x", "text");
    let mut sum = judge(&engine, "deepest");
    for _ in 0..3 {
        sum = Arc::new(weighted_sum([(1.0, sum), (3.0, scored(0.5))]).unwrap());
    }
    let total = sum.evaluate(&text).await.unwrap();
    let reader = op_fn("reader", |_: Inputs| async { Ok(vec![Output::new("read", "review")]) })
        .with_backward(|_| async { Ok(vec![Some(Feedback::new("be kind").into())]) });
    let review = apply_one(Arc::new(reader), [("text", &total)]).await.unwrap();
    backward(&review).await.unwrap();
    let asked = user(&engine.asked(Purpose::Gradient)[0]);
    let share = "1.562 % of it (weight 1 within a part that makes up 6.25 %)";
    assert!(asked.contains(share), "{asked}");
    assert_eq!(asked.matches("makes up").count(), 2, "{asked}");
    assert_eq!(asked.matches("be kind").count(), 1, "{asked}");
}

/// An evaluation of this score that has something to say backwards whatever it is.
fn outspoken(score: impl Into<Score>) -> Arc<dyn Loss> {
    let score = score.into();
    Arc::new(loss_fn(move |text: Variable| async move {
        let op = op_fn("outspoken", move |_: Inputs| async move {
            Ok(vec![Output::new("said", "evaluation").with_score(score)])
        });
        let op = op.with_backward(move |_| async move {
            Ok(vec![Some(Feedback::new(format!("asked at {score}")).into())])
        });
        apply_one(Arc::new(op), [("text", &text)]).await
    }))
}

#[tokio::test]
async fn only_a_part_that_passed_is_not_asked() {
    let text = Variable::differentiable("y", "text");
    for weights in [vec![1.0, 1.0, 1.0], vec![1.0, 2.0, 4.0]] {
        let parts = [outspoken(true), outspoken(false), outspoken(1.0)];
        let total = weighted_sum(weights.into_iter().zip(parts)).unwrap();
        let gradients = backward(&total.evaluate(&text).await.unwrap()).await.unwrap();
        let said: Vec<&str> = gradients.feedback(&text).map(Feedback::text).collect();
        assert_eq!(said, ["asked at failed", "asked at 1"], "a score of 1 is no verdict");
    }
    // Nobody is asked where all passed.
    let all = weighted_sum([(1.0, outspoken(true)), (2.0, outspoken(true))]).unwrap();
    let gradients = backward(&all.evaluate(&text).await.unwrap()).await.unwrap();
    assert!(gradients.received(&text).is_empty());
}
