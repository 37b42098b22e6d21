//! The parts of the pack that a search does not use.

use std::sync::Arc;

use textgrad_core::testing::ScriptedEngine;
use textgrad_core::{Backward, Layout, Parameter, Variable, backward};
use textgrad_ops::{LlmCall, LlmReduce, StringFn, TextLoss, TextualGradientDescent, aggregate};

use super::expected::{
    FEEDBACK_SYSTEM, UPDATE_SYSTEM, conversation, feedback_base, feedback_chain, function,
    gradient, update, with_examples,
};
use super::{messages, pack};

#[tokio::test]
async fn a_chain_of_calls_without_and_with_a_system_prompt() {
    let engine =
        Arc::new(ScriptedEngine::new(["draft", "the judgement", "on the draft", "on the prompt"]));
    let prompt = Parameter::new("Write a draft.", "prompt of a writer");
    let writer = LlmCall::builder(engine.clone()).prompts(pack()).response_role("a draft").build();
    let draft = writer.ask(prompt.variable()).one().await.unwrap();
    let judge = TextLoss::new(engine.clone(), "Judge.").prompts(pack());
    let verdict = judge.evaluate(&draft).await.unwrap();
    backward(&verdict).await.map_err(|failure| failure.error).unwrap();

    let sent: Vec<_> = engine.requests()[2..].iter().map(messages).collect();
    let judged = conversation(Some("Judge."), "draft", "the judgement");
    let written = conversation(None, "Write a draft.", "draft");
    let (role, value) = ("prompt of a writer", "Write a draft.");
    let system = FEEDBACK_SYSTEM.to_owned();
    assert_eq!(
        sent,
        [
            (system.clone(), feedback_base("a draft", "draft", &judged)),
            (system, feedback_chain(role, value, &written, "a draft", "on the draft")),
        ]
    );
}

#[tokio::test]
async fn examples_of_feedback_in_both_forms() {
    let engine =
        Arc::new(ScriptedEngine::new(["draft", "verdict", "on the draft", "on the prompt"]));
    let prompt = Parameter::new("Write.", "prompt");
    let examples = ["Name the {reader}.", "Say why."];
    let call = |role: &str| {
        let call = LlmCall::builder(engine.clone()).prompts(pack()).response_role(role);
        examples.iter().fold(call, |call, example| call.feedback_example(*example)).build()
    };
    let draft = call("a draft").ask(prompt.variable()).one().await.unwrap();
    let verdict = call("a verdict").ask(&draft).one().await.unwrap();
    backward(&verdict).await.map_err(|failure| failure.error).unwrap();

    let sent: Vec<String> = engine.requests()[2..].iter().map(|sent| messages(sent).1).collect();
    let base = feedback_base("a draft", "draft", &conversation(None, "draft", "verdict"));
    let written = conversation(None, "Write.", "draft");
    let chain = feedback_chain("prompt", "Write.", &written, "a draft", "on the draft");
    assert_eq!(
        sent,
        [
            with_examples(&base, "a draft", "draft", &examples),
            with_examples(&chain, "prompt", "Write.", &examples),
        ]
    );
}

#[tokio::test]
async fn a_function_and_an_update_with_examples() {
    let reply = "<IMPROVED_VARIABLE>4</IMPROVED_VARIABLE>";
    let engine = Arc::new(ScriptedEngine::new(["use digits", "be exact", reply]));
    let check = StringFn::new(engine.clone(), "compares numbers", |_| Ok("false".to_owned()))
        .response_role("a verdict")
        .prompts(pack());
    let answer = Parameter::new("four", "answer to a sum");
    let truth = Variable::constant("4", "the truth");
    let mut verdicts = Vec::new();
    for _ in 0..2 {
        let inputs = [("model_answer", &answer.variable()), ("ground_truth", &truth)];
        verdicts.push(check.call(inputs).await.unwrap());
    }
    let total = textgrad_ops::sum(&verdicts).await.unwrap();
    let gradients = backward(&total).await.map_err(|failure| failure.error).unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone())
        .prompts(pack())
        .constraint("Be brief.")
        .example("1")
        .example("2");
    optimizer.build().step(std::slice::from_ref(&answer), &gradients).await.unwrap();
    assert_eq!(&*answer.text(), "4");

    let role = "answer to a sum";
    let inputs = [("Model answer", role, "four"), ("Ground truth", "the truth", "4")];
    let call = function("compares numbers", &inputs, "false");
    let asked = feedback_base(role, "four", &call);
    let said = ["use digits", "be exact"].map(|said| gradient(role, &call, "a verdict", said));
    let sent: Vec<_> = engine.requests().iter().map(messages).collect();
    assert_eq!(sent[0], (FEEDBACK_SYSTEM.to_owned(), asked.clone()));
    assert_eq!(sent[1], (FEEDBACK_SYSTEM.to_owned(), asked));
    let asked = update(role, "four", &said, &["Be brief."], &["1", "2"]);
    assert_eq!(sent[2], (UPDATE_SYSTEM.to_owned(), asked));
}

#[tokio::test]
async fn feedback_is_merged() {
    let engine = Arc::new(ScriptedEngine::new(["bad", "worse", "say a", "say b", "say both"]));
    let text = Parameter::new("text", "a text");
    let loss = TextLoss::new(engine.clone(), "Judge.").prompts(pack());
    let first = loss.evaluate(&text.variable()).await.unwrap();
    let second = loss.evaluate(&text.variable()).await.unwrap();
    let reduce = LlmReduce::new(engine.clone()).prompts(pack());
    let total = aggregate([&first, &second], Arc::new(reduce)).await.unwrap();
    let gradients = backward(&total).await.map_err(|failure| failure.error).unwrap();
    assert_eq!(gradients.text(&text.variable()), "say both");
    let sent = messages(&engine.requests()[4]);
    assert!(sent.0.starts_with("You make one comment of several."), "{}", sent.0);
    let pieces = ["say a", "say b"].map(|said| format!("<FEEDBACK>{said}</FEEDBACK>"));
    assert_eq!(sent.1, pieces.join("\n"));
}

#[tokio::test]
async fn a_conversation_is_continued_and_an_answer_asked_for_again() {
    let engine = Arc::new(ScriptedEngine::new([
        "too dry",
        "add colour",
        "no tags",
        "<IMPROVED_VARIABLE>red</IMPROVED_VARIABLE>",
    ]));
    let text = Parameter::new("grey", "a text");
    let loss = TextLoss::new(engine.clone(), "Judge.").prompts(pack());
    let verdict = loss.evaluate(&text.variable()).await.unwrap();
    let pass = Backward::new(&verdict).layout(Layout::Continued);
    let gradients = pass.run().await.map_err(|failure| failure.error).unwrap();
    let optimizer = TextualGradientDescent::builder(engine.clone()).layout(Layout::Continued);
    optimizer.prompts(pack()).build().step(std::slice::from_ref(&text), &gradients).await.unwrap();

    let evaluate = "The text, which serves as <ROLE> a text </ROLE>, begins and ends like this:\n\n\
                    <VARIABLE> grey </VARIABLE>\n\n\
                    Say what about it keeps the aim from being met.\n\n";
    let wanted = "Better the text by these comments, and send it between <IMPROVED_VARIABLE> and \
                  </IMPROVED_VARIABLE>.";
    let again = "(Once more, please: the opening tag <IMPROVED_VARIABLE> was missing.)";
    let turns: Vec<String> = engine.requests()[3].messages.iter().map(|turn| turn.text()).collect();
    assert_eq!(
        turns,
        [
            "Judge.".to_owned(),
            "grey".to_owned(),
            "too dry".to_owned(),
            format!("Now comment on what was said above. {evaluate}"),
            "add colour".to_owned(),
            format!("{wanted}\n\n{again}"),
        ]
    );
}
