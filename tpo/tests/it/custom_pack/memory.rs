//! Optimizers that remember earlier steps, as such a framework would ask if it sent what it stores.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Parameter, Purpose, Seed, backward};
use textgrad_ops::{
    Optimizer, ProposalOutcome, SampledMomentum, TextLoss, TextualGradientDescent,
    TextualGradientDescentBuilder,
};

use super::expected::{
    UPDATE_SYSTEM, conversation, gradient, update, update_with_memory, update_with_momentum,
    update_with_responses,
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

#[tokio::test]
async fn a_history_of_responses_shows_the_outputs_of_before() {
    let sent = updates(|optimizer| optimizer.response_history(2)).await;
    assert_eq!(
        user(&sent),
        [
            update(ROLE, "value 1", &said(1), &[], &[]),
            update_with_responses(ROLE, "value 2", &said(2), &["verdict 1"]),
            update_with_responses(ROLE, "value 3", &said(3), &["verdict 1", "verdict 2"]),
            update_with_responses(ROLE, "value 4", &said(4), &["verdict 2", "verdict 3"]),
        ]
    );
}

#[tokio::test]
async fn momentum_by_sampling_asks_about_an_earlier_text() {
    let mut engine = ScriptedEngine::default();
    for step in 1..=3 {
        let new = format!("<IMPROVED_VARIABLE>value {}</IMPROVED_VARIABLE>", step + 1);
        engine = engine
            .on(Purpose::Loss, format!("verdict {step}"))
            .on(Purpose::Gradient, format!("say {step}"))
            .on(Purpose::Update, new);
    }
    let engine = Arc::new(engine);
    let text = [Parameter::new("value 1", ROLE)];
    let loss = TextLoss::new(engine.clone(), "Judge.").prompts(pack());
    let descent = TextualGradientDescent::builder(engine.clone()).prompts(pack()).build();
    let momentum = SampledMomentum::builder(descent, Seed::new(1)).temperature(1e-6);
    let momentum = momentum.build().unwrap();
    // The second text is the best.
    for score in [0.9, 0.1, 0.2] {
        let verdict = loss.evaluate(&text[0].variable()).await.unwrap();
        let gradients = backward(&verdict).await.map_err(|failure| failure.error).unwrap();
        let proposal = momentum.propose(&text, &verdict, &gradients).await.unwrap();
        proposal.apply().unwrap();
        momentum.report(&proposal, ProposalOutcome { accepted: true, score: Some(score.into()) });
    }
    let sent = engine.requests().into_iter().filter(|sent| sent.purpose == Purpose::Update);
    let sent: Vec<_> = sent.map(|sent| messages(&sent)).collect();
    // In the second step the first text has no score, and either may be drawn.
    let user = user(&sent);
    assert_eq!(user[0], update(ROLE, "value 1", &said(1), &[], &[]));
    assert_eq!(user[2], update(ROLE, "value 2", &said(2), &[], &[]));
}
