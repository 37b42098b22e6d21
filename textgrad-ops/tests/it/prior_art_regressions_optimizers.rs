//! One test per defect that optimizers of other frameworks were seen to have, so that ours never get it.

use std::sync::Arc;

use crate::support::{Answers, script, tagged, user};
use serde_json::json;
use textgrad_core::{
    Feedback, Gradients, Members, Module, Parameter, Purpose, Variable, backward, check_fn,
};
use textgrad_ops::score::{Example, LlmJudge, Scorer};
use textgrad_ops::{
    GraphOptimizer, Optimizer, TextLoss, TextualGradientDescent, TextualGradientDescentBuilder, sum,
};

/// The updates that are asked for in so many steps; text and feedback of each have its number.
async fn updates(
    steps: usize,
    set: impl Fn(TextualGradientDescentBuilder) -> TextualGradientDescentBuilder,
) -> Vec<String> {
    let engine = Answers::new("e", |request| match request.purpose {
        Purpose::Update => {
            let last = user(request);
            let next = (0..9).rev().find(|n| last.contains(&format!("text number {n}."))).unwrap();
            tagged(&format!("text number {}.", next + 1))
        }
        Purpose::Gradient => {
            let whole = crate::support::whole(request);
            let now = (0..9).rev().find(|n| whole.contains(&format!("text number {n}."))).unwrap();
            format!("say number {now}.")
        }
        _ => "verdict".to_owned(),
    });
    let text = Parameter::new("text number 0.", "text");
    let loss = TextLoss::new(engine.clone(), "judge");
    let optimizer = set(TextualGradientDescent::builder(engine.clone())).build();
    for step in 0..steps {
        let verdict = loss.evaluate(&text.variable()).await.unwrap();
        let gradients = backward(&verdict).await.unwrap();
        optimizer.step([&text], &gradients).await.unwrap();
        assert_eq!(&*text.text(), format!("text number {}.", step + 1));
    }
    engine.asked(Purpose::Update).iter().map(user).collect()
}

#[tokio::test]
async fn gradient_memory_is_in_what_is_sent() {
    let asked = updates(4, |optimizer| optimizer.gradient_memory(2)).await;
    for (shown, of_before) in [(3, [1, 2])] {
        for number in of_before {
            assert!(asked[shown].contains(&format!("say number {number}.")), "{}", asked[shown]);
        }
        assert!(!asked[shown].contains("say number 0."), "its window is two");
    }
    assert_eq!(asked[0].matches("say number").count(), 1, "nothing before the first");
}

#[tokio::test]
async fn momentum_makes_a_prompt_that_has_the_texts_of_before_and_that_of_now_once() {
    let asked = updates(4, |optimizer| optimizer.momentum(2)).await;
    assert_eq!(asked.len(), 4);
    for number in [1, 2] {
        assert!(asked[3].contains(&format!("text number {number}.")), "{}", asked[3]);
        assert!(asked[3].contains(&format!("say number {number}.")), "with what was said");
    }
    assert!(!asked[3].contains("text number 0."));
    assert_eq!(asked[3].matches("<VARIABLE>\ntext number 3.\n</VARIABLE>").count(), 1);
}

#[tokio::test]
async fn a_window_of_zero_is_no_error_and_shows_nothing() {
    let plain = updates(3, |optimizer| optimizer).await;
    let off = |optimizer: TextualGradientDescentBuilder| {
        optimizer.momentum(0).gradient_memory(0).response_history(0)
    };
    assert_eq!(updates(3, off).await, plain);
}

#[tokio::test]
async fn feedback_without_a_context_is_shown_and_is_no_error() {
    let engine = Answers::plain("e");
    let x = Variable::differentiable("x", "text");
    let feedback = ["first", "second"].map(Feedback::new);
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    optimizer.rewrite(&x, &feedback, None).await.unwrap();
    let asked = user(&engine.requests()[0]);
    assert!(asked.contains("first") && asked.contains("second"), "{asked}");
}

#[tokio::test]
async fn parameters_of_one_role_are_not_one() {
    struct Two([Parameter; 2]);
    impl Module for Two {
        fn members(&self) -> Members<'_> {
            vec![("first".into(), (&self.0[0]).into()), ("second".into(), (&self.0[1]).into())]
        }
    }
    let two = Two(["a", "b"].map(|text| Parameter::new(text, "system prompt")));
    assert_eq!(two.parameters().unwrap().len(), 2);
    let engine = Answers::plain("e");
    let loss = TextLoss::new(engine.clone(), "judge");
    let [a, b] = two.0.each_ref().map(Parameter::variable);
    let total = [loss.evaluate(&a).await.unwrap(), loss.evaluate(&b).await.unwrap()];
    let gradients = backward(&sum(&total).await.unwrap()).await.unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone()).build();
    let proposal = optimizer.step(&two.0, &gradients).await.unwrap();
    assert_eq!(proposal.updates.len(), 2);
    assert_eq!(engine.asked(Purpose::Update).len(), 2);
}

fn differ<T: PartialEq>(asked: &[T]) {
    for (i, request) in asked.iter().enumerate() {
        assert!(asked[..i].iter().all(|other| other != request), "request {i} was asked before");
    }
}

/// Without a seed, equal requests have equal answers: those of a cache, or of a model that is deterministic.
#[tokio::test]
async fn no_answer_is_asked_for_again_in_the_same_words() {
    let x = Variable::differentiable("x", "text");
    let feedback = [Feedback::new("better!")];
    for wrong in ["no tags", "<IMPROVED_VARIABLE> x", "<IMPROVED_VARIABLE></IMPROVED_VARIABLE>"] {
        let engine = script([wrong; 5]);
        let optimizer = TextualGradientDescent::builder(engine.clone()).parse_retries(4).build();
        optimizer.rewrite(&x, &feedback, None).await.unwrap_err();
        assert_eq!(engine.requests().len(), 5);
        differ(&engine.requests());
    }

    // A text that breaks the same rule again and again.
    let long = tagged("far too long");
    let engine = script([long.as_str(); 5]);
    let rule = check_fn("One word.", |_| Err("it has three".to_owned()));
    let text = Parameter::builder("x", "text").check(rule).build();
    let loss = TextLoss::new(Answers::plain("e"), "judge").evaluate(&text.variable()).await;
    let gradients = backward(&loss.unwrap()).await.unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone()).parse_retries(4).build();
    let _ = optimizer.propose_updates([&text], &gradients).await.unwrap();
    assert_eq!(engine.requests().len(), 5);
    differ(&engine.requests());

    let engine = script(["no tags"; 5]);
    let objective = TextLoss::new(Answers::plain("e"), "judge").evaluate(&text.variable()).await;
    let optimizer = GraphOptimizer::builder(engine.clone()).parse_retries(4).build();
    let none = Gradients::default();
    assert!(optimizer.propose(&[text], &objective.unwrap(), &none).await.is_err());
    assert_eq!(engine.requests().len(), 5);
    differ(&engine.requests());

    let engine = script(["no grade"; 5]);
    let judge = LlmJudge::builder(engine.clone(), "It is short.").parse_retries(4).build();
    let example = Example::new("1").with_metadata("x", json!(1));
    judge.score("answer", &example).await.unwrap_err();
    assert_eq!(engine.requests().len(), 5);
    differ(&engine.requests());
    let _: Arc<dyn Scorer> = Arc::new(judge);
}
