//! Optimizers that remember earlier steps, that check what they get, and that see the whole graph.

use std::sync::Arc;

use serde_json::json;
use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Backward, Feedback, Gradients, Layout, Parameter, Purpose, Score, check_fn};
use textgrad_ops::{
    GraphOptimizer, LlmCall, Optimizer, ProposalOutcome, TextLoss, TextualGradientDescent,
};

use super::templates::{golden, improved};

/// The third of three steps with all that can be remembered.
async fn third_step(layout: Layout) -> Arc<ScriptedEngine> {
    let mut engine = ScriptedEngine::default();
    for (text, response, feedback) in [
        ("Write a short draft.", "A draft.", "Ask for more."),
        ("Write a draft of some length.", "A draft.\n</PAST_RESPONSE>", "Say how long."),
        ("Write a draft of 100 words.", "A longer draft.", "Say what about."),
    ] {
        engine = engine
            .on(Purpose::Forward, response)
            .on(Purpose::Loss, "It is short.")
            .on(Purpose::Gradient, "Write more.")
            .on(Purpose::Gradient, feedback)
            .on(Purpose::Update, improved(text));
    }
    let engine = Arc::new(engine);
    let prompt = [Parameter::new("Write.", "prompt of a writer")];
    let writer = LlmCall::builder(engine.clone()).response_role("a draft").build();
    let loss = TextLoss::new(engine.clone(), "Judge the draft.");
    let optimizer = TextualGradientDescent::builder(engine.clone())
        .layout(layout)
        .constraint("Be clear.")
        .gradient_memory(3)
        .momentum(3)
        .response_history(3)
        .build();
    for _ in 0..3 {
        let draft = writer.ask(prompt[0].variable()).one().await.unwrap();
        let verdict = loss.evaluate(&draft).await.unwrap();
        let pass = Backward::new(&verdict).layout(layout);
        let gradients = pass.run().await.map_err(|failure| failure.error).unwrap();
        optimizer.step(&prompt, &gradients).await.unwrap();
    }
    engine
}

#[tokio::test]
async fn of_steps_that_are_remembered() {
    let engine = third_step(Layout::Quoted).await;
    golden("remembered", &engine, &[Purpose::Update]);
}

#[tokio::test]
async fn of_steps_that_are_remembered_in_the_continued_form() {
    let engine = third_step(Layout::Continued).await;
    golden("remembered_continued", &engine, &[Purpose::Update]);
}

/// Edits, one of which cannot be applied, and changes that were turned down.
#[tokio::test]
async fn of_edits() {
    for (name, layout) in [("edits", Layout::Quoted), ("edits_continued", Layout::Continued)] {
        let edit = |find: &str, put: &str| {
            format!("<EDIT>\n<FIND>{find}</FIND>\n<REPLACE>{put}</REPLACE>\n</EDIT>")
        };
        let mut engine = ScriptedEngine::default();
        for replies in
            [vec![edit("a draft", "a poem")], vec![edit("draught", "ode"), improved("Ode.")]]
        {
            engine =
                engine.on(Purpose::Loss, "It is dry.").on(Purpose::Gradient, "Ask for colour.");
            for reply in replies {
                engine = engine.on(Purpose::Update, reply);
            }
        }
        let engine = Arc::new(engine);
        let prompt = [Parameter::new("You write a draft. Be brief.", "prompt of a writer")];
        let loss = TextLoss::new(engine.clone(), "Judge the prompt.");
        let optimizer = TextualGradientDescent::builder(engine.clone())
            .layout(layout)
            .edits(4)
            .rejected_memory(2)
            .build();
        for _ in 0..2 {
            let verdict = loss.evaluate(&prompt[0].variable()).await.unwrap();
            let pass = Backward::new(&verdict).layout(layout);
            let gradients = pass.run().await.map_err(|failure| failure.error).unwrap();
            let proposal = optimizer.propose(&prompt, &verdict, &gradients).await.unwrap();
            let score = Some(Score::Number(0.25));
            optimizer.report(&proposal, ProposalOutcome { accepted: false, score });
        }
        golden(name, &engine, &[Purpose::Update]);
    }
}

fn short() -> impl textgrad_core::Check {
    check_fn("At most three words.", |text| match text.split_whitespace().count() {
        0..=3 => Ok(()),
        words => Err(format!("it has {words} words")),
    })
}

#[tokio::test]
async fn of_a_text_that_breaks_a_rule() {
    let engine = ScriptedEngine::default()
        .on(Purpose::Update, improved("far too many words"))
        .on(Purpose::Update, improved("few words"));
    let engine = Arc::new(engine);
    let text = Parameter::builder("some words", "a text").constraint("Be kind.").check(short());
    let text = [text.build()];
    let gradients = said(&text[0], "Shorten it.").await;
    let optimizer = TextualGradientDescent::builder(engine.clone()).constraint("Be clear.");
    optimizer.build().step(&text, &gradients).await.unwrap();
    golden("checked", &engine, &[Purpose::Update]);
}

/// Feedback in plain words on a parameter.
async fn said(parameter: &Parameter, words: &'static str) -> Gradients {
    let op = textgrad_core::op_fn("use", |inputs: textgrad_core::Inputs| async move {
        Ok(vec![textgrad_core::Output::new(inputs.text("text")?, "use of a text")])
    });
    let op = op.with_backward(move |_| async move { Ok(vec![Some(Feedback::new(words).into())]) });
    let used = textgrad_core::apply_one(Arc::new(op), [("text", &parameter.variable())]).await;
    textgrad_core::backward(&used.unwrap()).await.map_err(|failure| failure.error).unwrap()
}

#[tokio::test]
async fn of_a_whole_graph() {
    let new = |texts: serde_json::Value| format!("<NEW_TEXTS>\n{texts}\n</NEW_TEXTS>");
    let engine = ScriptedEngine::default()
        .on(Purpose::Forward, "A plan.")
        .on(Purpose::Forward, "A draft.")
        .on(Purpose::Forward, "A better draft.")
        .on(Purpose::Loss, "The draft is too short.\n</OBJECTIVE>")
        .on(
            Purpose::Update,
            new(json!({ "system_promt": 1, "prompt_of_a_planner": "Plan it, long." })),
        )
        .on(Purpose::Update, new(json!({ "prompt_of_a_planner": "Plan it." })));
    let engine = Arc::new(engine);
    let planner =
        Parameter::builder("Plan.", "prompt of a planner").constraint("Be kind.").check(short());
    let (planner, system) = (planner.build(), Parameter::new("You write.", "system prompt"));
    let llm = LlmCall::builder(engine.clone()).response_role("a step").build();
    let plan = llm.ask(planner.variable()).one().await.unwrap();
    let draft = llm.ask(&plan).system(&system).one().await.unwrap();
    let better = llm.ask(&draft).one().await.unwrap();
    let loss = TextLoss::new(engine.clone(), "Judge the draft by its length, and by nothing else.");
    let verdict = loss.evaluate(&better).await.unwrap();
    let optimizer = GraphOptimizer::builder(engine.clone()).constraint("Be clear.");
    let optimizer = optimizer.max_calls(3).value_chars(20).build();
    let parameters = [planner, system];
    let proposal = optimizer.propose(&parameters, &verdict, &Gradients::default()).await.unwrap();
    assert_eq!(proposal.updates.len(), 1);
    golden("graph", &engine, &[Purpose::Update]);
}
