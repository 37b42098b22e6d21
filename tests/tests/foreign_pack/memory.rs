//! Optimizers that remember earlier steps, as such a framework would ask if it sent what it stores.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Parameter, Purpose, backward};
use textgrad_ops::{TextLoss, TextualGradientDescent, TextualGradientDescentBuilder};

use super::expected::{
    UPDATE_SYSTEM, conversation, gradient, update, update_with_memory, update_with_momentum,
};
use super::{messages, pack};

const ROLE: &str = "answer to a sum";

/// What is asked for updates in four steps: the text is `value 1` to `value 4`, the comments `say 1` to `say 4`.
async fn updates(
    set: impl Fn(TextualGradientDescentBuilder) -> TextualGradientDescentBuilder,
) -> Vec<(String, String)> {
    let mut engine = ScriptedEngine::default();
    for step in 1..=4 {
        let new = format!("<IMPROVED_VARIABLE>value {}</IMPROVED_VARIABLE>", step + 1);
        engine = engine
            .on(Purpose::Loss, format!("verdict {step}"))
            .on(Purpose::Gradient, format!("say {step}"))
            .on(Purpose::Update, new);
    }
    let engine = Arc::new(engine);
    let text = [Parameter::new("value 1", ROLE)];
    let loss = TextLoss::new(engine.clone(), "Judge.").prompts(pack());
    let optimizer = TextualGradientDescent::builder(engine.clone()).prompts(pack());
    let optimizer = set(optimizer).build();
    for _ in 0..4 {
        let verdict = loss.evaluate(&text[0].variable()).await.unwrap();
        let gradients = backward(&verdict).await.map_err(|failure| failure.error).unwrap();
        optimizer.step(&text, &gradients).await.unwrap();
    }
    let requests = engine.requests().into_iter();
    requests.filter(|request| request.purpose == Purpose::Update).map(|r| messages(&r)).collect()
}

fn said(step: usize) -> [String; 1] {
    let call = conversation(Some("Judge."), &format!("value {step}"), &format!("verdict {step}"));
    [gradient(ROLE, &call, "evaluation of a text", &format!("say {step}"))]
}

fn user(sent: &[(String, String)]) -> Vec<&str> {
    assert!(sent.iter().all(|(system, _)| system == UPDATE_SYSTEM));
    sent.iter().map(|(_, user)| user.as_str()).collect()
}

#[tokio::test]
async fn momentum_shows_what_the_text_was_and_is() {
    // Such a framework counts the text as it is now into its window of three.
    let sent = updates(|optimizer| optimizer.momentum(2)).await;
    assert_eq!(
        user(&sent),
        [
            update(ROLE, "value 1", &said(1), &[], &[]),
            update_with_momentum(ROLE, &["value 1", "value 2"], &said(2)),
            update_with_momentum(ROLE, &["value 1", "value 2", "value 3"], &said(3)),
            update_with_momentum(ROLE, &["value 2", "value 3", "value 4"], &said(4)),
        ]
    );
}

#[tokio::test]
async fn gradient_memory_shows_the_comments_of_before() {
    let sent = updates(|optimizer| optimizer.gradient_memory(2)).await;
    assert_eq!(
        user(&sent),
        [
            update(ROLE, "value 1", &said(1), &[], &[]),
            update_with_memory(ROLE, "value 2", &said(2), &["say 1"]),
            update_with_memory(ROLE, "value 3", &said(3), &["say 1", "say 2"]),
            update_with_memory(ROLE, "value 4", &said(4), &["say 2", "say 3"]),
        ]
    );
}
